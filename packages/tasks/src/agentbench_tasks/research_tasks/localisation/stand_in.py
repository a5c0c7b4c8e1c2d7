# pyright: basic
# (rows of foreign files, built on the spot)
"""Annotations and features of the names, fields and axes of the Perception Test, drawn."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

CLASSES, WIDTH, AUDIO = 3, 16, 8


def write(raw: Path, rng: np.random.Generator) -> None:
    """Write the raw files of forty training and twelve validation videos."""
    raw.mkdir(parents=True)
    look = rng.standard_normal((CLASSES, WIDTH)) * 2
    for part, n in (("train", 40), ("valid", 12)):
        annotations: dict[str, Any] = {}
        kinds = {
            "video": f"action_localisation_{part}_video_features",
            "audio": f"sound_localisation_{part}_audio_features",
        }
        for folder in kinds.values():
            (raw / folder).mkdir()
        for i in range(n):
            name, length = f"video_{i + 100 * (part == 'valid')}", int(rng.integers(60, 90))
            seconds = length / 4
            features = rng.standard_normal((length, WIDTH)).astype(np.float32)
            actions, t = [], int(rng.integers(2, 10))
            while t < length - 12:
                c, end = int(rng.integers(CLASSES)), t + int(rng.integers(6, 12))
                features[t:end] += look[c]
                times = [int(t / 4 * 1e6), int(end / 4 * 1e6)]
                actions.append(
                    {"id": len(actions), "label": f"class {c}", "label_id": c, "timestamps": times}
                )
                t = end + int(rng.integers(3, 14))
            annotations[name] = {
                "metadata": {
                    "split": part,
                    "video_id": name,
                    "frame_rate": 30.0,
                    "num_frames": int(seconds * 30),
                },
                "action_localisation": actions,
            }
            np.save(raw / kinds["video"] / f"{name}.npy", features)
            audio = rng.standard_normal((length // 2, AUDIO)).astype(np.float32)
            np.save(raw / kinds["audio"] / f"{name}.npy", audio)
        member = f"challenge_action_localisation_{part}.json"
        with zipfile.ZipFile(
            raw / f"challenge_action_localisation_{part}_annotations.zip", "w"
        ) as archive:
            archive.writestr(member, json.dumps(annotations))
