# pyright: basic
# (torch is an optional dependency)
"""CIFAR-10's binary files and the organisers' weights, with drawn images and a narrow network."""

import io
import tarfile
from pathlib import Path

import numpy as np

from agentbench_tasks.research_tasks.weights import require_torch

WIDTH, IMAGES, FORGET = 4, 40, 20


def write(raw: Path, rng: np.random.Generator) -> None:
    """Write the raw files of 5 x 40 training and 40 test images."""
    torch = require_torch()
    from agentbench_tasks.research_tasks.resnet import ResNet18

    raw.mkdir(parents=True)
    look = rng.integers(40, 216, (10, 3, 32, 32))
    with tarfile.open(raw / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
            label = rng.integers(0, 10, IMAGES)
            pixels = np.clip(look[label] + rng.normal(0, 30, (IMAGES, 3, 32, 32)), 0, 255)
            rows = np.c_[label, pixels.reshape(IMAGES, -1)].astype(np.uint8)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = rows.nbytes
            archive.addfile(member, io.BytesIO(rows.tobytes()))
    np.save(raw / "forget_idx.npy", rng.permutation(5 * IMAGES)[:FORGET])
    torch.manual_seed(int(rng.integers(2**31)))
    torch.save(ResNet18(10, WIDTH).state_dict(), raw / "weights_resnet18_cifar10.pth")
