"""Folders of images of the names and columns of Meta-Album, drawn."""

import io
import json
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from agentbench_tasks.research_tasks.meta_learning.full import DEV, TEST, TRAIN

CLASSES, IMAGES, SIDE = 4, 8, 16


def write(raw: Path, rng: np.random.Generator) -> None:
    """Write the archive of ten data sets of four classes with eight images each."""
    image: Any = import_module("PIL.Image")
    raw.mkdir(parents=True)
    with zipfile.ZipFile(raw / "public_data.zip", "w") as archive:
        for name in (*TRAIN, *DEV, *TEST):
            rows = ["FILE_NAME,CATEGORY,SUPER_CATEGORY"]
            for c in range(CLASSES):
                look = rng.integers(0, 256, (SIDE, SIDE, 3))
                for i in range(IMAGES):
                    noisy = np.clip(look + rng.normal(0, 25, look.shape), 0, 255).astype(np.uint8)
                    data = io.BytesIO()
                    image.fromarray(noisy).save(data, "JPEG", quality=95)
                    archive.writestr(f"public_data/{name}/images/{c}_{i}.jpg", data.getvalue())
                    rows.append(f"{c}_{i}.jpg,class {c},group")
            archive.writestr(f"public_data/{name}/labels.csv", "\n".join(rows) + "\n")
            info = {"image_column_name": "FILE_NAME", "category_column_name": "CATEGORY"}
            archive.writestr(f"public_data/{name}/info.json", json.dumps(info))
