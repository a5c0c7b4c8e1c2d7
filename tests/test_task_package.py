"""A package of tasks, installed beside the wheels in a clean environment, is found and graded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "task-package"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    dist, venv = folder / "dist", folder / "venv"
    for package in ("agentbench-scoring", "agentbench-tasks"):
        run("uv", "build", "-q", "--package", package, "--out-dir", dist, cwd=ROOT)
    run("uv", "build", "-q", EXAMPLE, "--out-dir", dist)
    run("uv", "venv", "-q", "--python", sys.executable, venv)
    install(venv, dist, "example-tasks")
    return venv


def run(*command: str | Path, cwd: Path | None = None) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(venv: Path, dist: Path, what: str | Path) -> None:
    run("uv", "pip", "install", "-q", "--python", venv / "bin" / "python",
        "--find-links", dist, what)  # fmt: skip


def tasks(venv: Path, *arguments: str | Path) -> str:
    return run(venv / "bin" / "agentbench-tasks", *arguments)


def listed(venv: Path, tag: str) -> list[dict[str, Any]]:
    return json.loads(tasks(venv, "list", "--tag", tag, "--json"))


def test_its_tasks_are_listed_beside_ours(environment: Path) -> None:
    assert [task["name"] for task in listed(environment, "example")] == ["harvest", "tea"]
    everything = json.loads(tasks(environment, "list", "--json"))
    assert len([task for task in everything if "kaggle" in task["suites"]]) == 202


def test_its_tasks_are_clean(environment: Path) -> None:
    reports = json.loads(tasks(environment, "lint", "harvest", "tea", "--synthetic", "--json"))
    assert [report["findings"] for report in reports] == [[], []]


def test_its_anchors_are_what_its_script_prints(environment: Path) -> None:
    printed = run(environment / "bin" / "python", EXAMPLE / "anchors.py").split()
    anchors = json.loads(tasks(environment, "show", "harvest", "--json"))["anchors"]
    assert printed == ["trivial", str(anchors["trivial"]["value"]),
                       "strong", str(anchors["strong"]["value"])]  # fmt: skip


def test_its_tables_are_what_its_script_makes(environment: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for name in ("harvest", "tea"):
        (made / "src" / "example_tasks" / "data" / name).mkdir(parents=True)
    (made / "data.py").write_text((EXAMPLE / "data.py").read_text("utf-8"), "utf-8")
    run(environment / "bin" / "python", made / "data.py")
    for path in EXAMPLE.rglob("*.csv"):
        assert (made / path.relative_to(EXAMPLE)).read_bytes() == path.read_bytes()


def test_a_new_task_is_registered_and_can_be_graded(environment: Path, tmp_path: Path) -> None:
    table = tmp_path / "cups.csv"
    table.write_bytes((EXAMPLE / "src/example_tasks/data/tea/data.csv").read_bytes())
    project = tmp_path / "my-tasks"
    tasks(environment, "new", table, project, "--yes")
    install(environment, environment.parent / "dist", project)
    prepared = Path(tasks(environment, "prepare", "cups", "--root", tmp_path / "root").split()[1])
    sample = prepared / "public" / "sample_submission.csv"
    graded = tasks(environment, "grade", "cups", sample, "--root", tmp_path / "root", "--json")
    assert json.loads(graded)["score"] == 0.5
    second = tmp_path / "second.csv"
    second.write_bytes(table.read_bytes())
    tasks(environment, "new", second, project, "--yes")
    assert sorted(path.name for path in project.rglob("*.yaml")) == ["cups.yaml", "second.yaml"]
