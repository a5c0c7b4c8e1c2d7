"""Every scaffold on embedded tasks; the scripted model writes real scikit-learn programs."""

import itertools
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from agentbench_agents import Agent, Budget, TaskEnv
from agentbench_agents.agents import find_agent
from agentbench_agents.recording import RecordedModel
from agentbench_agents.run import RunResult, RunSpec, run_one
from agentbench_agents.search.testing import ScriptedProgrammer, WarmInterpreter
from agentbench_agents.trajectory import Trajectory, read_trajectory
from agentbench_tasks import load_task, prepare

pytestmark = pytest.mark.slow
TASKS = ("breast-cancer", "diabetes", "grades", "preference", "reports", "wine")
PROGRAMMER = "agentbench_agents.search.testing:ScriptedProgrammer"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def run(data: Path, directory: Path, task: str, agent: str, **options: Any) -> RunResult:  # noqa: ANN401
    directory.mkdir(parents=True)
    given = {"data_root": str(data), "sandbox": "local", "model": PROGRAMMER}
    spec = RunSpec(task=task, agent=agent, **given, **options)
    return run_one(spec, directory)


SCAFFOLDS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "greedy": ("wine", "tree", {"policy": "greedy", "top_k": 2}, 11),
    "mcts": ("breast-cancer", "tree", {"policy": "mcts", "in_flight": 2, "top_k": 1}, 8),
    "evolutionary": (
        "diabetes",
        "tree",
        {"policy": "evolutionary", "policy_params": {"per_generation": 2}, "top_k": 1},
        9,
    ),
    "aide": ("grades", "aide", {"drafts": 2}, 9),
    "one_shot": ("wine", "one_shot", {}, 15),
    "react": ("preference", "react", {"tools": False}, 6),
}


@pytest.mark.parametrize(("task", "agent", "params", "steps"), SCAFFOLDS.values(), ids=SCAFFOLDS)
def test_a_scaffold_works_and_its_trajectory_tells_how(
    task: str, agent: str, params: dict[str, Any], steps: int, data: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "run"
    result = run(data, directory, task, agent, agent_params=params, budget=Budget(steps=steps))
    assert result.status == "scored", result.error
    assert result.margin is not None
    assert result.submissions == 1
    assert result.steps <= steps
    events = list(read_trajectory(directory / "trajectory.jsonl"))
    assert not [e for e in events if "agent_crashed" in e]
    nodes = [e["node"] for e in events if "node" in e]
    assert [n["id"] for n in nodes] == list(range(1, len(nodes) + 1))
    if agent in ("tree", "aide"):
        assert len(nodes) >= 3
        assert any(n["metric"] is not None for n in nodes)
    written = [e for e in events if e.get("role") == "assistant"]
    assert any("sklearn" in e["content"] for e in written)
    runs = [e for e in events if e["type"] == "action" and e["action"] == "execute_code"]
    assert {e["parent"] for e in runs}  # each follows an event of its own branch
    ids = {e["id"] for e in events}
    assert all(e["parent"] is None or e["parent"] in ids for e in events)


def test_search_beats_one_draft(data: Path) -> None:
    """Over the tasks, paired by seed; benchmarks/tree_vs_one_shot.py makes the whole table."""
    gains: dict[str, list[float]] = {}
    with WarmInterpreter() as interpreter:
        for task, seed in itertools.product(TASKS, range(2)):
            params = {"policy": "mcts", "policy_params": {"children": 3}, "top_k": 1}
            progress = [
                warm(interpreter, data, task, find_agent(agent, given), seed)
                for agent, given in (("tree", params), ("one_shot", {}))
            ]
            gains.setdefault(task, []).append(progress[0] - progress[1])
    means = [fmean(values) for values in gains.values()]
    half = 2.571 * stdev(means) / len(means) ** 0.5  # Student's t, 5 degrees of freedom, 97.5 %
    assert fmean(means) - half > 0, gains


def warm(interpreter: WarmInterpreter, data: Path, task: str, agent: Agent, seed: int) -> float:
    """Return the progress of what is handed in on the private part, 0 if nothing is."""
    public = prepare(load_task(task), data).public
    env = TaskEnv(
        task,
        data_root=data,
        sandbox=lambda: interpreter.folder(public, seed=seed),
        budget=Budget(steps=8),
    )
    env.reset(seed=seed)
    trajectory = Trajectory(None)
    agent.run(env, RecordedModel(ScriptedProgrammer(), trajectory=trajectory, spend=env.spend))
    final = env.episode.final_submission()
    env.close_forks()
    env.close()
    return 0.0 if final is None or final.hidden is None else final.hidden.progress
