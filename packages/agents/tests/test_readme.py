"""What the pages show is what happens."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = ROOT / "packages" / "agents" / "README.md"
PAGE = ROOT / "docs" / "agents.md"


def python_block(page: Path, number: int = 0) -> str:
    found: list[str] = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return found[number]


def run(program: list[str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *program],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "AGENTBENCH_DATA": str(cwd / "data"), "XDG_CACHE_HOME": str(cwd)},
    )


def test_the_readme_s_example(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(python_block(README))
    done = run(["example.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Submission 1: accuracy" in done.stdout


def test_an_agent_of_your_own_fits_in_25_lines_and_runs(tmp_path: Path) -> None:
    source = python_block(PAGE)
    assert len(source.splitlines()) <= 25
    (tmp_path / "majority.py").write_text(source)
    command = "import sys; sys.path.insert(0, '.'); from agentbench_cli import main; main()"
    arguments = ["run", "digits", "--agent", "majority:Majority", "--sandbox", "local"]
    done = run(["-c", command, *arguments, "--data", "data", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["status"] == "scored"
    assert abs(row["score"] - row["trivial"]) < 0.01


def test_the_page_s_forks(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(python_block(PAGE, 1))
    done = run(["forks.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^common.*$", done.stdout, re.MULTILINE) == [
        "common",
        "common 0",
        "common 1",
    ]
