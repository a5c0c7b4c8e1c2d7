# pyright: basic
# (arrays and JSON of foreign files)
"""Perception Test 2024, temporal action localisation, on the features that its organisers give.

Raw files: `challenge_action_localisation_{train,valid}.json`, a dict of videos with `metadata`
(`num_frames`, `frame_rate`) and `action_localisation` (`label_id` and `timestamps`, start and end
in microseconds), and a folder of one `VIDEO.npy` (T, D) for each of
`action_localisation_{train,valid}_video_features` and `sound_localisation_..._audio_features`.
As in MLRC-Bench, a fifth of the training videos is for development, and the challenge's validation
set is the test, because the labels of its own test set are not published.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from agentbench_tasks.errors import PreparationError, SourceError
from agentbench_tasks.research_data import Folders, read_arrays, write_arrays
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.localisation import score

DEV_SHARE = 0.2
MICROSECONDS = 1e6
Videos = dict[str, Any]


def build(raw: Path, into: Folders) -> None:
    """Lay the features of all videos out as one array with starts.

    Of each part: `video_features` (sum T, D) and `audio_features` float32 with `video_start` and
    `audio_start` (N + 1,), `duration` (N,) in seconds, `name` (N,). Labels, and train:
    `segments` (K, 4): video, class, start, end in seconds; train has `class_name` too.
    """
    train, test = (_annotations(raw, part) for part in ("train", "valid"))
    dev = {name: train.pop(name) for name in list(train) if _share(name) < DEV_SHARE}
    classes = _class_names(train, dev, test)
    write_arrays(into.train, _inputs(raw, "train", train))
    write_arrays(into.train, {"segments": _segments(train), "class_name": classes})
    write_arrays(into.dev, _inputs(raw, "train", dev))
    write_arrays(into.dev_labels, {"segments": _segments(dev)})
    write_arrays(into.test, _inputs(raw, "valid", test))
    write_arrays(into.test_labels, {"segments": _segments(test)})


def statistic(labels: Path, inputs: Path, read: OutputReader) -> Statistic:
    """Score as the lite task does: units are videos."""
    return score.statistic(labels=read_arrays(labels), inputs=read_arrays(inputs), read=read)


def _share(name: str) -> float:
    """A number in [0, 1) that depends on the name of a video alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32


def _annotations(raw: Path, part: str) -> Videos:
    name = f"challenge_action_localisation_{part}*.json"
    found = sorted(raw.rglob(name))
    if len(found) != 1:
        raise SourceError(f"raw file {name} is there {len(found)} times in the folder of raw files")
    videos = json.loads(found[0].read_text(encoding="utf-8"))
    if not isinstance(videos, dict) or not videos:
        raise PreparationError(f"{found[0].name} holds no videos")
    return dict(sorted(videos.items()))


def _class_names(*parts: Videos) -> np.ndarray[Any, Any]:
    names: dict[int, str] = {}
    for videos in parts:
        for video in videos.values():
            for action in video["action_localisation"]:
                names[int(action["label_id"])] = str(action["label"])
    return np.array([names.get(i, "") for i in range(max(names, default=-1) + 1)])


def _segments(videos: Videos) -> np.ndarray[Any, Any]:
    rows = [
        (i, action["label_id"], *(t / MICROSECONDS for t in action["timestamps"]))
        for i, video in enumerate(videos.values())
        for action in video["action_localisation"]
    ]
    return np.array(rows, np.float64).reshape(-1, 4)


def _inputs(raw: Path, part: str, videos: Videos) -> dict[str, Any]:
    kinds = {
        "video": f"action_localisation_{part}_video_features",
        "audio": f"sound_localisation_{part}_audio_features",
    }
    found: dict[str, Any] = {
        "name": np.array(list(videos)),
        "duration": np.array(
            [v["metadata"]["num_frames"] / v["metadata"]["frame_rate"] for v in videos.values()]
        ),
    }
    for kind, folder in kinds.items():
        files = {p.stem: p for p in raw.rglob(f"{folder}/**/*.npy")}
        missing = sorted(set(videos) - set(files))
        if missing:
            raise SourceError(f"{folder} lacks the features of {len(missing)} videos: {missing[0]}")
        features = [_feature(files[name]) for name in videos]
        lengths = [len(f) for f in features]
        found[f"{kind}_start"] = np.concatenate([[0], np.cumsum(lengths)])
        found[f"{kind}_features"] = np.concatenate(features)
    return found


def _feature(path: Path) -> np.ndarray[Any, Any]:
    array = np.load(path, allow_pickle=False).astype(np.float32)
    return array.reshape(-1, array.shape[-1])
