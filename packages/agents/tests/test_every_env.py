"""Every registered id, and many environments at once."""

import os
import tempfile
import threading
import time
import warnings
from pathlib import Path

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from agentbench_agents import (
    AgentsError,
    Budget,
    ExecuteCode,
    GetHistory,
    RequestInfo,
    TaskEnv,
    env_id,
)
from agentbench_agents.testing import NullSandbox, offline_options
from agentbench_agents.trajectory import Trajectory, read_trajectory
from agentbench_sandbox import Limits, SandboxError, open_sandbox
from agentbench_sandbox.reaper import find
from agentbench_tasks import load_research, research_names, task_names
from agentbench_tasks.grading import read_answers

SMALL = Limits(memory_mib=512, disk_mib=64, tmp_mib=32, pids=64)
ROWS = 120
QUICK = ("spaceship-titanic", "dogs-vs-cats-redux-kernels-edition", "bike-sharing-demand")


TRAINED = ("backdoor-trigger-recovery", "machine-unlearning")  # whose preparation takes long
FULL = [n for n in research_names() if not load_research(n).lite and n not in TRAINED]


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in (*task_names(), *FULL)],
)
def test_make_and_check_env_without_a_warning(name: str, data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = offline_options(name, data, rows=ROWS)
        env = gymnasium.make(env_id(name), render_mode="ansi", **options)
        check_env(env.unwrapped)
        env.close()


def test_every_task_is_registered_and_research_tasks_have_no_stand_in() -> None:
    registered = {i for i in gymnasium.registry if i.startswith("agentbench/")}
    assert registered == {env_id(n) for n in (*task_names(), *research_names())}
    with pytest.raises(AgentsError, match="no synthetic stand-in"):
        TaskEnv(research_names()[0], synthetic=50)


@pytest.mark.parametrize("make", [SyncVectorEnv, AsyncVectorEnv], ids=["sync", "async"])
def test_vector_environments_of_several_tasks_go_on_after_their_episodes(
    make: type[SyncVectorEnv | AsyncVectorEnv], data: Path
) -> None:
    names = ["digits", "breast-cancer", "diabetes"]
    kwargs = {} if make is SyncVectorEnv else {"shared_memory": False}
    vector = make(
        [
            lambda n=n: TaskEnv(n, data_root=data, sandbox=NullSandbox, budget=Budget(steps=2))
            for n in names
        ],
        **kwargs,  # pyright: ignore[reportArgumentType]
    )
    vector.reset(seed=[1, 2, 3])
    texts = (RequestInfo(info_type="name").to_text(),) * 3
    observation, *_ = vector.step(texts)
    assert list(observation["text"]) == names
    _, _, terminated, truncated, _ = vector.step(texts)
    assert (list(terminated), list(truncated)) == ([False] * 3, [True] * 3)
    observation, *_ = vector.step(texts)  # the step that begins the next episodes
    assert all(f"Task: {n}" in t for n, t in zip(names, observation["text"], strict=True))
    vector.close()


def test_workers_of_a_fork_server_grade(data: Path) -> None:
    """Forked ones would hang: this process has used polars, whose threads are not there."""
    prepared = TaskEnv("digits", data_root=data, sandbox=NullSandbox).prepared
    sample = (prepared.public / "sample_submission.csv").read_bytes()
    read_answers(prepared)  # with polars
    vector = AsyncVectorEnv(
        [lambda: TaskEnv("digits", data_root=data, sandbox=lambda: NullSandbox(submission=sample))],
        shared_memory=False,
        context="forkserver",
    )
    vector.reset(seed=0)
    vector.step_async((ExecuteCode(code="x").to_text(),))
    *_, info = vector.step_wait(timeout=120)
    assert list(info["submission"]) == [1]
    vector.close()


def drive(env: TaskEnv, number: int, seen: dict[int, list[str]]) -> None:
    """Write a file of one's own, read it back, and note what comes."""
    env.reset(seed=number)
    code = f"open('mine.txt', 'a').write('{number} '); print('I am', open('mine.txt').read())"
    seen[number] = [str(env.step(ExecuteCode(code=code).to_text())[0]["text"]) for _ in range(3)]
    seen[number].append(str(env.step(GetHistory().to_text())[0]["text"]))
    env.close()


def in_threads(envs: list[TaskEnv]) -> dict[int, list[str]]:
    seen: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=drive, args=(env, number, seen)) for number, env in enumerate(envs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(envs)
    return seen


def test_64_environments_in_threads_do_not_interfere(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    trajectories = [Trajectory(tmp_path / f"{n}.jsonl") for n in range(64)]
    envs = [
        TaskEnv(
            "digits",
            data_root=data,
            sandbox=lambda n=n: NullSandbox(stdout=f"box {n}".encode()),
            trajectory=trajectories[n],
        )
        for n in range(64)
    ]
    seen = in_threads(envs)
    for number, texts in seen.items():
        assert all(f"box {number}\n" in f"{t}\n" for t in texts[:3])
        events = list(read_trajectory(tmp_path / f"{number}.jsonl"))
        assert [e["step"] for e in events if e["type"] == "action"] == [1, 2, 3, 4]
        codes = [e["params"]["code"] for e in events if e.get("action") == "execute_code"]
        assert all(f"'{number} '" in code for code in codes)
    assert list((tmp_path / "scratch").iterdir()) == []


def children() -> set[int]:
    """Processes that this one started and that have not ended."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        found |= {int(p) for p in (thread / "children").read_text().split()}
    return found


def test_8_real_environments_do_not_interfere_and_leave_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = children()
    envs = [TaskEnv("digits", data_root=data, sandbox="local", limits=SMALL) for _ in range(8)]
    for number, texts in in_threads(envs).items():
        for times, text in enumerate(texts[:3], 1):
            assert f"I am {' '.join([str(number)] * times)}\n" in text
    assert children() - before == set()
    assert list(scratch.iterdir()) == []


def containers(*, expected: int) -> int:
    """Count this process's containers; removal may take the daemon a moment."""
    count = -1
    for _ in range(50):
        count = sum(found.owner.split("/")[1] == str(os.getpid()) for found in find())
        if count == expected:
            break
        time.sleep(0.1)
    return count


@pytest.mark.docker
def test_closing_leaves_no_container(data: Path) -> None:
    try:
        open_sandbox("docker", limits=SMALL).close()
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    env = TaskEnv("digits", data_root=data, sandbox="docker", limits=SMALL)
    env.reset(seed=0)
    child = env.fork()
    assert containers(expected=2) == 2
    child.close()
    env.reset(seed=1)
    env.close()
    assert containers(expected=0) == 0
