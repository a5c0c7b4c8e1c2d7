"""Floods and long use: the programs of `benchmarks/`, run whole or in part."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BACKENDS = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap", "landlock"]


def run(program: str, *arguments: str) -> dict[str, Any]:
    """Run a program of `benchmarks/` and return its report; it exits with 1 when that is bad."""
    argv = [sys.executable, str(BENCHMARKS / program), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gigabyte_of_output_costs_forty_mebibytes(
    backend: str, request: pytest.FixtureRequest
) -> None:
    if backend == "docker":
        request.getfixturevalue("docker_image")
    report = run("flood.py", "--backend", backend, "--n", "1")
    assert report["totals exact"]
    assert report["sandbox alive"]
    assert report["peak host memory, MiB"] <= 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "sandboxes"),
    [pytest.param("docker", "15", marks=pytest.mark.docker), ("bubblewrap", "100")],
)
def test_nothing_grows(backend: str, sandboxes: str, request: pytest.FixtureRequest) -> None:
    if backend == "docker":
        request.getfixturevalue("docker_image")
    counts = ("--sandboxes", sandboxes, "--commands", "2000")
    report = run("soak.py", "--backend", backend, *counts)
    assert report["commands"]["grown"] == []
    assert report["sandboxes"]["grown"] == []
