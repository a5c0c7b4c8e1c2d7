"""Each wheel, installed alone in a clean environment, imports and runs its README's example."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("sandbox", "scoring", "tasks", "agents", "irl")
FOREIGN = {
    "sandbox": {"torch", "gymnasium", "numpy", "polars"},
    "scoring": {"torch", "gymnasium", "docker", "scikit-learn", "pandas"},
    "tasks": {"torch", "gymnasium", "docker", "pandas"},
    "agents": {"torch", "pandas", "litellm", "ray"},
    "irl": {"docker", "gymnasium", "polars"},
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        ["uv", "build", "--all-packages", "--quiet", "--out-dir", folder], cwd=ROOT, check=True
    )
    return folder


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_alone(package: str, dist: Path, tmp_path: Path) -> None:
    readme = (ROOT / "packages" / package / "README.md").read_text("utf-8")
    install = re.search(r"pip install [\"']?([^\s\"']+)", readme)
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert install is not None, "the README says how to install the package"
    assert example is not None, "the README has an example"
    assert install[1].split("[")[0] == f"agentbench-{package}"

    venv = tmp_path / "venv"
    env = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, venv], env=env, check=True)
    python = venv / "bin" / "python"
    subprocess.run(
        ["uv", "pip", "install", "-q", "--python", python, "--find-links", dist, install[1]],
        env=env,
        check=True,
    )
    frozen = subprocess.run(
        ["uv", "pip", "freeze", "-q", "--python", python],
        check=True,
        env=env,
        capture_output=True,
        text=True,
    )
    names = {line.split("==")[0] for line in frozen.stdout.split()}
    assert not names & FOREIGN[package]

    (tmp_path / "example.py").write_text(example[1], encoding="utf-8")
    done = subprocess.run(
        [python, "example.py"],
        cwd=tmp_path,
        env={**env, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
