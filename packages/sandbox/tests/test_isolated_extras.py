"""Extras that cannot be in the workspace's own environment, tested in one of their own."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("verifiers") is not None, reason="it is here")
@pytest.mark.skipif(shutil.which("uv") is None, reason="needs uv")
def test_verifiers_runtime() -> None:
    argv = ["uv", "run", "--isolated", "--no-project", "--with", f"{PACKAGE}[verifiers]"]
    argv += ["--with", "pytest", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not docker"]
    argv += ["-c", os.devnull, "-W", "ignore", f"--rootdir={PACKAGE}", f"--confcutdir={PACKAGE}"]
    done = subprocess.run(
        [*argv, str(PACKAGE / "tests/test_verifiers.py")],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    if "No solution found" in done.stderr or "Failed to fetch" in done.stderr:
        pytest.skip(f"verifiers cannot be installed here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout
