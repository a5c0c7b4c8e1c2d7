"""Research tasks end to end in Docker containers; what passes on local isolation passes there."""

import os
from pathlib import Path

import pytest

from agentbench_agents.run import RunResult, RunSpec, run_one
from agentbench_sandbox import ImageError, SandboxUnavailableError, open_sandbox
from agentbench_tasks.research_tasks.rainfall import lite as rainfall
from agentbench_tasks.research_tasks.recommendation import lite as recommendation

pytestmark = [pytest.mark.docker, pytest.mark.slow]
TESTING = "agentbench_agents.testing"


@pytest.fixture(scope="module", autouse=True)
def docker() -> None:
    try:
        open_sandbox("docker").close()
    except (SandboxUnavailableError, ImageError) as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rainfall, "SCENES", {"train": 40, "dev": 40, "test": 60})
    monkeypatch.setattr(recommendation, "SESSIONS", {"train": 8000, "dev": 1500, "test": 3000})


def run(task: str, agent: str, data: Path, folder: Path, sandbox: str = "docker") -> RunResult:
    folder.mkdir()
    return run_one(RunSpec(task=task, agent=agent, sandbox=sandbox, data_root=str(data)), folder)


@pytest.mark.parametrize("task", ["rainfall-nowcasting-lite", "product-recommendation-lite"])
def test_reference_cheater_and_baseline(task: str, data: Path, tmp_path: Path) -> None:
    reference = run(task, f"{TESTING}:ReferenceResearcher", data, tmp_path / "reference")
    assert (reference.status, reference.sandbox) == ("scored", "docker")
    assert reference.margin == pytest.approx(100.0)
    cheater = run(task, f"{TESTING}:CheatingResearcher", data, tmp_path / "cheater")
    assert cheater.margin == 0.0
    assert cheater.research is not None
    remarks = " ".join(cheater.research["remarks"])
    assert "main.py was changed, ignored" in remarks
    assert "dev.jsonl was added, ignored" in remarks
    baseline = run(task, "baseline", data, tmp_path / "baseline")
    assert baseline.margin == 0.0
    local = run(task, "baseline", data, tmp_path / "local", sandbox="local")
    assert local.margin == 0.0
    assert local.score == pytest.approx(baseline.score, rel=1e-2)
