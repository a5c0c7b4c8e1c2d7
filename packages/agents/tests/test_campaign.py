import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentbench_agents.agent import from_policy
from agentbench_agents.budget import Budget
from agentbench_agents.campaign import Campaign, Watcher, read_campaign
from agentbench_agents.env import TaskEnv
from agentbench_agents.errors import RunDirectoryError
from agentbench_agents.run import RunResult, RunSpec
from agentbench_agents.trajectory import read_trajectory

COPY = (
    '{"action": "execute_code", "params": {"code": '
    "\"import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')\"}}"
)
HERE = "test_campaign_agents"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of agents that find_agent can import."""
    (tmp_path / f"{HERE}.py").write_text(
        "import time\n"
        "from agentbench_agents import from_policy\n"
        "from agentbench_sandbox import SandboxUnavailableError\n"
        f"COPY = {COPY!r}\n"
        "def copier(pause=0.0):\n"
        "    def act(observation):\n"
        "        time.sleep(pause)\n"
        "        return COPY\n"
        "    return from_policy(act)\n"
        "def babbler():\n"
        "    return from_policy(lambda observation: 'hello')\n"
        "def crasher():\n"
        "    def act(observation):\n"
        "        if int(observation['steps_left']) < 2: raise RuntimeError('boom')\n"
        "        return COPY\n"
        "    return from_policy(act)\n"
        "def unlucky():\n"
        "    def act(observation):\n"
        "        raise SandboxUnavailableError('the daemon went away')\n"
        "    return from_policy(act)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType]


def spec(data: str, agent: str = "copier", **fields: object) -> RunSpec:
    return RunSpec.model_validate(
        {
            "task": "digits",
            "agent": f"{HERE}:{agent}",
            "sandbox": "local",
            "data_root": data,
            "budget": Budget(steps=3),
            **fields,
        }
    )


class Counter(Watcher):
    def __init__(self) -> None:
        self.finishes = 0

    def finished(self, spec: RunSpec, result: RunResult) -> None:
        del spec, result
        self.finishes += 1


@pytest.mark.parametrize(
    ("agent", "status"),
    [("copier", "scored"), ("babbler", "failed"), ("crasher", "scored"), ("unlucky", "infra")],
)
def test_a_run_is_scored_as_what_it_is(agent: str, status: str, data: str, tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "out")
    (result,) = campaign.execute(campaign.plan([spec(data, agent)]))
    assert result.status == status
    assert (result.score is not None) is (status == "scored")
    rows = [json.loads(x) for x in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [RunResult.model_validate(r) for r in rows] == [result]


def test_a_crash_of_the_agent_is_in_its_trajectory(data: str, tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "out")
    (result,) = campaign.execute(campaign.plan([spec(data, "crasher")]))
    events = list(read_trajectory(tmp_path / "out" / result.run_id / "trajectory.jsonl"))
    assert any("RuntimeError: boom" in e.get("agent_crashed", "") for e in events)


def test_the_same_plan_does_nothing_again_and_a_larger_one_what_is_missing(
    data: str, tmp_path: Path
) -> None:
    counter = Counter()
    campaign = Campaign(tmp_path / "out")
    first = campaign.execute(campaign.plan([spec(data)]), watcher=counter)
    again = campaign.execute(campaign.plan([spec(data)]), watcher=counter)
    assert first == again
    assert counter.finishes == 1
    both = campaign.execute(campaign.plan([spec(data), spec(data, seed=1)]), watcher=counter)
    assert counter.finishes == 2
    assert {r.seed for r in both} == {0, 1}


def test_runs_whose_infrastructure_failed_are_done_again(data: str, tmp_path: Path) -> None:
    counter = Counter()
    campaign = Campaign(tmp_path / "out")
    planned = campaign.plan([spec(data, "unlucky")])
    campaign.execute(planned, watcher=counter)
    campaign.execute(planned, watcher=counter)
    assert counter.finishes == 2
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 1


def test_several_jobs_do_each_run_once(data: str, tmp_path: Path) -> None:
    counter = Counter()
    campaign = Campaign(tmp_path / "out")
    planned = campaign.plan([spec(data, seed=s) for s in range(6)])
    results = campaign.execute(planned, jobs=3, watcher=counter)
    assert counter.finishes == 6
    assert sorted(r.seed for r in results) == list(range(6))


def test_the_results_file_is_rebuilt_from_the_directories(data: str, tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "out")
    planned = campaign.plan([spec(data)])
    campaign.execute(planned)
    (tmp_path / "out" / "results.jsonl").unlink()
    (tmp_path / "out" / "ledger.sqlite").unlink()
    results = campaign.execute(planned)
    rows = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [RunResult.model_validate_json(r) for r in rows] == results


def _run_elsewhere(out: Path, data: str, tmp_path: Path) -> "subprocess.Popen[bytes]":
    program = (
        "import sys; from pathlib import Path\n"
        "from agentbench_agents import Campaign, RunSpec, Budget\n"
        "out, data = sys.argv[1:]\n"
        "specs = [RunSpec(task='digits', agent='test_campaign_agents:copier',\n"
        "  agent_params={'pause': 0.05}, seed=s, budget=Budget(steps=3), sandbox='local',\n"
        "  data_root=data) for s in range(5)]\n"
        "c = Campaign(Path(out)); c.execute(c.plan(specs))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, out, data],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(4))
def test_kill_9_then_resume_ends_with_one_result_per_run(
    attempt: int, data: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = _run_elsewhere(out, data, tmp_path)
    deadline = time.monotonic() + 60
    while not (out / "ledger.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(random.Random(attempt).uniform(0.1, 1.5))
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {p.parent.name: p.read_bytes() for p in out.glob("*/result.json")}
    campaign = read_campaign(out)
    results = campaign.execute(campaign.specs())
    assert sorted(r.seed for r in results) == [0, 1, 2, 3, 4]
    assert all(r.status == "scored" for r in results)
    assert len({r.run_id for r in results}) == 5
    for name, content in before.items():
        assert (out / name / "result.json").read_bytes() == content
    rows = [json.loads(x)["run_id"] for x in (out / "results.jsonl").read_text().splitlines()]
    assert sorted(rows) == sorted(r.run_id for r in results)
    for result in results:
        list(read_trajectory(out / result.run_id / "trajectory.jsonl"))


def test_a_directory_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="holds no runs"):
        read_campaign(tmp_path)
    with pytest.raises(RunDirectoryError, match="holds no runs"):
        read_campaign(tmp_path / "nowhere")


def test_a_changed_run_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.json").write_text('{"spec": {"task": 3, "planet": "mars"}}')
    with pytest.raises(RunDirectoryError, match=r"run\.json does not say"):
        read_campaign(tmp_path).specs()


def test_a_policy_is_an_agent(data: str) -> None:
    env = TaskEnv("digits", data_root=Path(data), sandbox="local", budget=Budget(steps=2))
    env.reset(seed=0)
    from_policy(lambda _: COPY).run(env, None)  # pyright: ignore[reportArgumentType]
    assert env.over
    assert len(env.episode.submissions) == 2
    env.close()
