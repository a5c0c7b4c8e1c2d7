"""An agent of another package is found once that package is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROJECT = """
[project]
name = "somebodys-agents"
version = "1.0"

[project.entry-points."agentbench.agents"]
lazy = "somebodys_agents:Lazy"

[build-system]
requires = ["uv_build>=0.9"]
build-backend = "uv_build"
"""
MODULE = '''
from dataclasses import dataclass
from agentbench_agents import ExecuteCode

CODE = "import shutil; shutil.copyfile('input/sample_submission.csv', 'submission.csv')"


@dataclass(frozen=True, kw_only=True)
class Lazy:
    """Submits the sample."""

    times: int = 1
    needs_model = False

    def run(self, env, model):
        for _ in range(self.times):
            env.step(ExecuteCode(code=CODE).to_text())
'''


def test_an_agent_of_another_package_is_listed_and_runs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "src" / "somebodys_agents").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "src" / "somebodys_agents" / "__init__.py").write_text(MODULE)
    install = ["uv", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path / "site")]
    subprocess.run([*install, str(source)], check=True)

    def agentbench(*arguments: str) -> list[dict[str, object]]:
        done = subprocess.run(
            [sys.executable, "-c", "from agentbench_cli import main; main()", *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found

    (listed,) = [a for a in agentbench("agents", "--json") if a["name"] == "lazy"]
    assert listed["parameters"] == {"times": 1}
    run = f"run diabetes --agent lazy -p times=2 --sandbox local --json --out {tmp_path / 'runs'}"
    (result,) = agentbench(*run.split(), "--data", str(tmp_path / "data"))
    assert (result["status"], result["submissions"]) == ("scored", 2)
