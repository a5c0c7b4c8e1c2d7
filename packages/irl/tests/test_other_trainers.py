"""The losses for other trainers, in the released axolotl and LLaMA-Factory.

Both pin versions that contradict what the rest is tested with, so that only the packages themselves
are installed, into a folder of their own, and run in a process of their own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def run(program: str, requirements: list[str], directory: Path) -> dict[str, Any]:
    """Return what a program of this folder reports, with packages that it alone sees."""
    packages, report = directory / "packages", directory / "report.json"
    install = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    try:
        subprocess.run([*install, *requirements], capture_output=True, check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"cannot install {requirements[0]}: {error}")
    done = subprocess.run(
        [sys.executable, str(HERE / program), str(report)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_axolotl(tmp_path: Path) -> None:
    """Two texts packed into a row, or in rows of their own: the loss computed by hand in both."""
    report = run("axolotl_train.py", ["axolotl==0.19.0", "addict"], tmp_path)
    assert report["is_plugin"]
    assert report["is_trainer"]
    assert report["without_block"]
    assert "td_wieght" in report["unknown_setting"]
    assert "cannot be used with chunked_cross_entropy" in report["contradiction"]
    for losses in report["losses"].values():
        assert losses[0] == pytest.approx(report["first"], rel=1e-5)
        assert losses[-1] < losses[0] - 0.3


@pytest.mark.slow
def test_llama_factory(tmp_path: Path) -> None:
    report = run("llamafactory_train.py", ["llamafactory==0.9.5"], tmp_path)
    assert report["losses"][0] == pytest.approx(report["first"], rel=1e-5)
    assert report["losses"][-1] < report["losses"][0] - 2
