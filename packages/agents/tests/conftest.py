"""Prepared data that test modules share."""

from pathlib import Path

import pytest

from agentbench_agents import TaskEnv
from agentbench_agents.testing import NullSandbox
from agentbench_tasks.research_tasks.rainfall import lite as rainfall


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prepared tasks; `digits` is there."""
    folder = tmp_path_factory.mktemp("data")
    for path in (folder, folder.parent):  # as a user's own: where a sandbox gets in, it can read
        path.chmod(0o755)
    TaskEnv("digits", data_root=folder, sandbox=NullSandbox).close()
    return folder


@pytest.fixture(scope="session")
def small_research(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small instance of `rainfall-nowcasting-lite`, its anchors measured."""
    folder = tmp_path_factory.mktemp("research")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rainfall, "SCENES", {"train": 40, "dev": 40, "test": 60})
        env = TaskEnv("rainfall-nowcasting-lite", data_root=folder, sandbox="local")
    env.reset(seed=0)
    env.close()
    return folder
