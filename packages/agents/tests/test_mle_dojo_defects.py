"""The 29 defects of MLE-Dojo's environment (its commit 667a8fd), each as a test of ours.

The numbers and names are those of the list that the project keeps of them; where a defect shows
only with a real sandbox, the sandbox here is real.
"""

import importlib.metadata
import inspect
import itertools
import json
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from agentbench_agents import (
    Budget,
    ExecuteCode,
    GetHistory,
    RequestInfo,
    Submit,
    TaskEnv,
    ValidateCode,
    find_agent,
)
from agentbench_agents.actions import Action
from agentbench_agents.agents import agent_classes
from agentbench_agents.episode import Episode, Outcome
from agentbench_agents.feedback import HumanFeedback, ModelFeedback
from agentbench_agents.models import Message
from agentbench_agents.models.context import fit
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.testing import NullSandbox
from agentbench_agents.trajectory import Trajectory, read_trajectory
from agentbench_sandbox import ExecResult, Limits, SandboxError
from agentbench_scoring import Leaderboard

WRITE_SAMPLE = "import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')\n"
SMALL = Limits(memory_mib=640, disk_mib=128, tmp_mib=32, pids=64)
PACKAGE = Path(__file__).parents[1]


@pytest.fixture
def env(data: Path, tmp_path: Path) -> Iterator[TaskEnv]:
    """An environment with real isolation, recorded in `tmp_path`."""
    with Trajectory(tmp_path / "trajectory.jsonl") as trajectory:
        made = TaskEnv(
            "digits",
            data_root=data,
            sandbox="local",
            limits=SMALL,
            directory=tmp_path,
            trajectory=trajectory,
            code_timeout_s=20,
        )
        made.reset(seed=0)
        yield made
        made.close()


def null_env(data: Path, box: NullSandbox, task: str = "digits", **options: Any) -> TaskEnv:  # noqa: ANN401
    env = TaskEnv(task, data_root=data, sandbox=lambda: box, **options)
    env.reset(seed=0)
    return env


def run(env: TaskEnv, code: str) -> tuple[str, dict[str, Any]]:
    observation, _, _, _, info = env.step(ExecuteCode(code=code).to_text())
    return str(observation["text"]), info


def sample(env: TaskEnv) -> bytes:
    return (env.prepared.public / "sample_submission.csv").read_bytes()


def answers(env: TaskEnv) -> bytes:
    table = (env.prepared.private / "answers.csv").read_text().splitlines()
    return "\n".join(",".join(line.split(",")[:2]) for line in table).encode()


def test_01_step_returns_five_values(data: Path) -> None:
    observation, reward, terminated, truncated, info = null_env(data, NullSandbox()).step("x")
    assert isinstance(observation, dict)
    assert isinstance(reward, float)
    assert (terminated, truncated) == (False, False)
    assert info["status"] == "invalid_action"


def test_02_observations_lie_in_their_space_and_check_env_passes(data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make("agentbench/digits-v0", data_root=data, sandbox=NullSandbox)
        check_env(made.unwrapped, skip_render_check=True)
    env = null_env(data, NullSandbox())
    for text in ("", "\ud800", '{"action": "get_history"}', "\0" * 10_000):
        observation = env.step(text)[0]
        assert set(observation) == {"text", "progress", "best_progress", "steps_left"}
        assert env.observation_space.contains(observation)


def test_03_agent_code_cannot_read_the_answers(env: TaskEnv) -> None:
    private = env.prepared.private / "answers.csv"
    assert private.is_file()
    code = (
        "import os, pathlib, shutil\n"
        f"tried = [{str(private)!r}, 'input/../private/answers.csv', 'input/private/answers.csv']\n"
        "tried += [pathlib.Path('input').resolve().parent / 'private' / 'answers.csv']\n"
        "for root in ('/', 'input/', '/proc/1/root'):\n"
        "    for folder, folders, names in os.walk(root):\n"
        "        folders[:] = [f for f in folders if f not in ('proc', 'sys', 'usr')]\n"
        "        tried += [os.path.join(folder, n) for n in names if n == 'answers.csv']\n"
        "for path in tried:\n"
        "    try:\n"
        "        shutil.copy(path, 'submission.csv'); print('LEAK', path)\n"
        "    except OSError:\n"
        "        pass\n"
        "print('tried', len(tried))\n"
    )
    text, info = run(env, code)
    assert "tried" in text
    assert "LEAK" not in text
    assert info["status"] == "no_submission"


def test_04_keys_in_the_environment_are_not_inherited(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.setenv("SOME_SECRET", "sk-planted")
    env = TaskEnv("digits", data_root=data, sandbox="local", limits=SMALL)
    env.reset(seed=0)
    text, _ = run(
        env, "import os; print(dict(os.environ)); print(open('/proc/self/environ').read())"
    )
    env.close()
    assert "sk-planted" not in text
    assert "AGENTBENCH_SEED" in text


@pytest.mark.docker
def test_05_a_container_shows_one_task_and_has_no_network_root_or_capability(data: Path) -> None:
    TaskEnv("diabetes", data_root=data, sandbox=NullSandbox).close()  # another task's data is there
    env = TaskEnv("digits", data_root=data, sandbox="docker", limits=SMALL)
    try:
        env.reset(seed=0)
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    code = (
        "import os, socket\n"
        "print('uid', os.getuid() != 0)\n"
        "status = open('/proc/self/status').read()\n"
        "print('caps', status.split('CapEff:')[1].split()[0])\n"
        "found = []\n"
        "for top, folders, names in os.walk('/'):\n"
        "    folders[:] = [f for f in folders if os.path.join(top, f) not in ('/proc', '/sys')]\n"
        "    found += [n for n in names if 'answers' in n or n == '.env' or 'diabetes' in top]\n"
        "print('files', [f for f in found if 'sklearn' not in f][:5])\n"
        "try:\n"
        "    socket.create_connection(('1.1.1.1', 53), 2); print('network open')\n"
        "except OSError:\n"
        "    print('network closed')\n"
        "print('interfaces', sorted(os.listdir('/sys/class/net')))\n"
        "limits = ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')\n"
        "print('memory', [open(f).read().strip() for f in limits if os.path.exists(f)])\n"
    )
    text, _ = run(env, code)
    env.close()
    assert "uid True" in text, text
    assert "caps 0000000000000000" in text
    assert "files []" in text
    assert "network closed" in text
    assert "interfaces ['lo']" in text
    assert f"memory ['{SMALL.memory_mib << 20}']" in text


def test_06_agent_code_cannot_edit_the_record(env: TaskEnv, tmp_path: Path) -> None:
    record = tmp_path / "trajectory.jsonl"
    before = record.read_bytes()
    code = (
        f"for path in ({str(record)!r}, '../trajectory.jsonl', 'trajectory.jsonl'):\n"
        "    try:\n"
        "        open(path, 'w').write('forged')\n"
        "    except OSError:\n"
        "        pass\n"
    )
    run(env, code)
    assert record.read_bytes().startswith(before)
    lines = record.read_text().splitlines()
    assert "forged" not in lines
    assert len(list(read_trajectory(record))) == len(lines)


def test_07_the_record_grows_by_the_same_bytes_at_every_step(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        env = null_env(
            data,
            NullSandbox(stdout=b"x" * 5000),
            trajectory=trajectory,
            directory=tmp_path,
            budget=Budget(steps=400),
        )
        for _ in range(300):
            env.step(ExecuteCode(code="print('x' * 5000)").to_text())
    sizes: dict[int, int] = {}
    for event in read_trajectory(path):
        same = {k: 0 if isinstance(v, int | float) else v for k, v in event.items()}
        step = int(event.get("step", 0))
        sizes[step] = sizes.get(step, 0) + len(json.dumps(same))
    assert len(sizes) == 301
    assert len({size for step, size in sizes.items() if step}) == 1
    assert path.stat().st_size < 300 * 3 * 5000


def test_08_get_history_does_not_hold_itself_and_is_in_the_observation(data: Path) -> None:
    env = null_env(data, NullSandbox(), budget=Budget(steps=50))
    lengths: list[int] = []
    for _ in range(12):
        observation, _, _, _, info = env.step(GetHistory().to_text())
        assert info["status"] == "ok"
        lengths.append(len(observation["text"]))
    assert "step 11: get_history: ok" in env.observation["text"]
    assert max(b - a for a, b in itertools.pairwise(lengths)) < 40


def test_09_the_record_holds_code_arguments_reward_and_observation(
    data: Path, tmp_path: Path
) -> None:
    path, box = tmp_path / "t.jsonl", NullSandbox(stdout=b"the output")
    with Trajectory(path) as trajectory:
        env = null_env(data, box, trajectory=trajectory, directory=tmp_path)
        box.submission = answers(env)
        observation, reward, *_ = env.step(ExecuteCode(code="print('the output')").to_text())
        env.step(RequestInfo(info_type="name").to_text())
    events = list(read_trajectory(path))
    actions = [e for e in events if e["type"] == "action"]
    told = [e for e in events if e["type"] == "observation"]
    assert [e["params"] for e in actions] == [
        {"code": "print('the output')"},
        {"info_type": "name"},
    ]
    assert told[1]["text"] == observation["text"]
    assert "the output" in told[1]["text"]
    assert told[1]["reward"] == reward == 1.0
    assert all(e["wall_s"] >= 0 for e in told[1:])


@pytest.mark.parametrize(
    "text",
    [
        '{"action": "request_info", "params": {"info_type": "answers"}}',
        '{"action": "execute_code", "params": {"code": ""}}',
        '{"action": "execute_code", "params": {"code": 7}}',
        '{"action": "get_history", "params": {"last": -1}}',
    ],
    ids=["wrong info_type", "empty code", "code is a number", "negative"],
)
def test_10_a_wrong_argument_is_an_observation_and_the_run_goes_on(data: Path, text: str) -> None:
    env = null_env(data, NullSandbox())
    observation, _, terminated, truncated, info = env.step(text)
    assert info["status"] == "invalid_action"
    assert "takes {" in observation["text"]
    assert not terminated
    assert not truncated
    assert env.step(GetHistory().to_text())[4]["status"] == "ok"


def test_11_a_stale_file_is_never_scored(env: TaskEnv) -> None:
    assert run(env, WRITE_SAMPLE + "1 / 0")[1]["status"] == "failed"
    assert run(env, "pass")[1]["status"] == "no_submission"
    assert run(env, WRITE_SAMPLE)[1]["submission"] == 1
    assert run(env, "open('other.csv', 'w')")[1]["status"] == "no_submission"
    keep = "import os; os.link('submission.csv', 'kept.csv')\n"
    run(env, WRITE_SAMPLE + keep)
    assert run(env, "pass")[1]["status"] == "no_submission"
    assert [s.number for s in env.episode.submissions] == [1, 2]
    later = (
        "import os, shutil, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); [os.close(fd) for fd in (0, 1, 2)]\n"
        "    [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGHUP)]\n"
        "    while True:\n"
        "        shutil.copy('input/sample_submission.csv', 'submission.csv'); time.sleep(0.01)\n"
        "while not os.path.exists('submission.csv'):\n"
        "    time.sleep(0.01)\n"
    )
    assert run(env, later)[1]["submission"] == 3
    assert run(env, "import time; time.sleep(0.5)")[1]["status"] == "no_submission"


class Slow(NullSandbox):
    """Notes the time limits that commands get."""

    __slots__ = ("asked",)

    def exec(self, argv: Sequence[str], *, timeout_s: float, **rest: Any) -> ExecResult:  # noqa: ANN401
        self.asked: list[float] = [
            *getattr(self, "asked", []),
            *([timeout_s] if argv[0] == "python" else []),
        ]
        return NullSandbox.exec(self, argv, timeout_s=timeout_s, **rest)


def test_12_validate_code_keeps_submissions_stops_at_syntax_and_is_cheap(
    env: TaskEnv, data: Path
) -> None:
    run(env, WRITE_SAMPLE)
    path = env.episode.workspace.output_path
    broken = "open('../was_run', 'w')\n"
    env.step(ValidateCode(code="open('submission.csv', 'w').write('mine')").to_text())
    for fault, said in (
        ("def f(:", "SyntaxError"),
        ("import nosuch", "not installed here: nosuch"),
    ):
        observation, _, _, _, info = env.step(ValidateCode(code=broken + fault).to_text())
        assert info["status"] == "failed"
        assert said in observation["text"]
    assert env.episode.workspace.sandbox.read_file(path) == sample(env)
    assert "was_run" not in run(env, "import os; print(sorted(os.listdir()))")[0]
    rows = env.step(ValidateCode(code="print(len(list(open('input/train.csv'))))").to_text())
    assert "\n201" in rows[0]["text"]
    box = Slow()
    cheap = null_env(data, box, code_timeout_s=600)
    box.asked.clear()
    cheap.step(ValidateCode(code="x").to_text())
    assert max(box.asked) <= 20


@pytest.mark.parametrize(
    ("ending", "timeout_s", "said"),
    [
        ("time.sleep(60)", 3, "time limit"),
        ("1 / 0", 60, "ZeroDivisionError"),
        ("sys.exit(3)", 60, "code 3"),
    ],
    ids=["time-out", "exception", "exit"],
)
def test_13_what_was_printed_before_a_failure_is_kept(
    data: Path, tmp_path: Path, ending: str, timeout_s: float, said: str
) -> None:
    env = TaskEnv(
        "digits",
        data_root=data,
        sandbox="local",
        limits=SMALL,
        code_timeout_s=timeout_s,
        directory=tmp_path,
    )
    env.reset(seed=0)
    text, _ = run(env, f"import sys, time\nprint('epoch 1', flush=True)\n{ending}")
    env.close()
    assert "epoch 1" in text
    assert said in text
    assert (tmp_path / "outputs" / "1.stdout.txt").read_text() == "epoch 1\n"


def test_14_output_is_trimmed_for_the_agent(env: TaskEnv, tmp_path: Path) -> None:
    text, _ = run(env, "print('first'); print('x' * 5_000_000); print('last')")
    assert len(text) < 8000
    assert "first" in text
    assert "last" in text
    assert "characters left out" in text
    assert (tmp_path / "outputs" / "1.stdout.txt").stat().st_size > 5_000_000


def test_15_a_child_with_its_own_session_does_not_survive_the_time_out(data: Path) -> None:
    env = TaskEnv("digits", data_root=data, sandbox="local", limits=SMALL, code_timeout_s=3)
    env.reset(seed=0)
    code = (
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    while True:\n"
        "        open('alive', 'w').write(str(time.time())); time.sleep(0.05)\n"
        "time.sleep(60)\n"
    )
    assert "time limit" in run(env, code)[0]
    env.episode.code_timeout_s = 60
    look = (
        "import time\nbefore = open('alive').read()\ntime.sleep(0.5)\n"
        "print(before == open('alive').read())"
    )
    text, _ = run(env, look)
    env.close()
    assert "True" in text


def test_16_the_memory_limit_is_that_of_all_processes_together(env: TaskEnv) -> None:
    code = (
        "import os, signal, time\n"
        "pids = []\n"
        "for i in range(4):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        held = bytearray(os.urandom(1 << 20)) * 300\n"
        "        open(f'held{i}', 'w').close(); time.sleep(60); os._exit(0)\n"
        "    pids.append(pid)\n"
        "ended, since = 0, time.monotonic()\n"
        "while not ended and time.monotonic() - since < 2:\n"
        "    if sum(n.startswith('held') for n in os.listdir()) < 4:\n"
        "        since = time.monotonic()\n"
        "    ended, _ = os.waitpid(-1, os.WNOHANG); time.sleep(0.02)\n"
        "print('one was ended' if ended else 'all held', flush=True)\n"
        "[os.kill(pid, signal.SIGKILL) for pid in pids if pid != ended]\n"
    )
    text, _ = run(env, code)
    assert "all held" not in text
    assert "one was ended" in text or "out of memory" in text, text


def test_17_a_gpu_limit_is_enforced_or_refused(data: Path) -> None:
    limits = Limits(memory_mib=640, disk_mib=128, tmp_mib=32, gpus=1)
    env = TaskEnv("digits", data_root=data, sandbox="local", limits=limits)
    with pytest.raises(SandboxError, match=r"(?i)gpu"):
        env.reset(seed=0)
    env.close()


def test_18_the_time_of_a_program_and_of_the_run_are_two_limits(data: Path) -> None:
    box = Slow()
    env = null_env(data, box, code_timeout_s=30, budget=Budget(steps=9, wall_s=10))
    run(env, "x")
    assert 5 < box.asked[-1] <= 10
    long = Slow()
    other = null_env(data, long, code_timeout_s=30, budget=Budget(steps=9, wall_s=10_000))
    run(other, "x")
    assert long.asked[-1] == 30
    env.spend.started -= 11
    assert env.step(GetHistory().to_text())[3]


def test_19_construction_works_in_a_thread_and_leaves_signal_handlers_alone(data: Path) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(n) for n in numbers]
    null_env(data, NullSandbox()).close()  # in the main thread it could install handlers
    seen: list[str] = []

    def work() -> None:
        env = TaskEnv("digits", data_root=data, sandbox="local", limits=SMALL)
        env.reset(seed=0)
        seen.append(run(env, "print('in a thread')")[0])
        env.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "in a thread" in seen[0]
    assert [signal.getsignal(n) for n in numbers] == before


def test_20_a_second_environment_of_a_task_leaves_the_first_one_s_record_alone(
    data: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    trajectories = [Trajectory(p) for p in paths]
    envs = [null_env(data, NullSandbox(), trajectory=t) for t in trajectories]
    for env in (envs[0], envs[1], envs[0]):
        env.step(RequestInfo(info_type="name").to_text())
    counts = [sum(e["type"] == "action" for e in read_trajectory(p)) for p in paths]
    assert counts == [2, 1]
    assert not [name for name in logging.root.manager.loggerDict if "digits" in name]


@pytest.mark.parametrize("reward", ["delta", "absolute", "terminal", "milestone"])
def test_21_a_worse_score_never_earns_more_and_repeats_earn_nothing(
    data: Path, reward: str
) -> None:
    """The task's metric is an error: lower is better."""
    box = NullSandbox()
    env = null_env(data, box, task="diabetes", reward=reward)
    assert not env.task.higher_is_better
    answers = (env.prepared.private / "answers.csv").read_text().splitlines()
    table = [line.split(",")[:2] for line in answers]
    good = "\n".join(",".join(row) for row in table).encode()
    offset = [table[0], *([i, str(float(v) + 70.0)] for i, v in table[1:])]
    worse = "\n".join(",".join(row) for row in offset).encode()
    earned: list[float] = []
    for box.submission in (worse, good, worse, good):
        earned.append(env.step(ExecuteCode(code="x").to_text())[1])
    earned.append(env.step(Submit().to_text())[1])
    if reward == "absolute":  # the paper's own: paid for each, but never more for the worse
        assert earned[0] == earned[2] < earned[1] == earned[3]
    else:
        assert earned[2] == earned[3] == 0
        assert sum(earned) <= 1 + 1e-9
        assert sum(earned) == pytest.approx(1.0 if reward != "milestone" else earned[0] + earned[1])


def test_22_human_rank_can_be_that_of_the_paper_and_nothing_is_printed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Leaderboard([0.9, 0.8, 0.7, 0.6], higher_is_better=True)
    assert board.human_rank(0.75, method="paper") == pytest.approx(1 - 3 / 4)
    assert board.human_rank(0.75, method="mledojo") == pytest.approx(1 - 2 / 4)
    box = NullSandbox()
    env = null_env(data, box)
    box.submission = sample(env)
    run(env, "x")
    assert capsys.readouterr() == ("", "")


class Shout(Action):
    """Say it aloud."""

    name = "shout"
    text: str

    def apply(self, episode: Episode) -> Outcome:
        return Outcome(text=f"{self.text.upper()} {episode.task.name}")


def test_23_actions_of_one_s_own_are_called_and_all_feedback_providers_work(data: Path) -> None:
    said = iter(["scale it", ""])
    model = ScriptedModel(["use a forest"], name="critic")
    providers = (
        "template",
        "analysis",
        ModelFeedback(model=model),
        HumanFeedback(read=lambda: next(said), write=lambda _: None),
    )
    made = gymnasium.make(
        "agentbench/digits-v0",
        data_root=data,
        sandbox=lambda: NullSandbox(exit_code=1),
        actions=(Shout,),
        providers=providers,
    )
    made.reset(seed=0)
    observation, *_ = made.step('{"action": "shout", "params": {"text": "hey"}}')
    assert observation["text"] == "HEY digits"
    text = made.step(ExecuteCode(code="x").to_text())[0]["text"]
    for part in ("exit code 1", "Error analysis", "use a forest", "A person says:\nscale it"):
        assert part in text
    made.close()


def test_24_metadata_is_that_of_the_task(data: Path) -> None:
    about: dict[str, dict[str, Any]] = {}
    for task in ("digits", "breast-cancer", "diabetes"):
        env = null_env(data, NullSandbox(), task=task)
        about[task] = json.loads(env.step(RequestInfo(info_type="metadata").to_text())[0]["text"])
    assert [a["task"] for a in about.values()] == list(about)
    assert about["digits"]["higher_is_better"] is True
    assert about["diabetes"]["higher_is_better"] is False
    assert len({a["metric"] for a in about.values()}) == 3
    assert all(a["modality"] for a in about.values())


@pytest.mark.parametrize("name", sorted(agent_classes()))
def test_25_every_agent_that_is_listed_takes_an_environment_and_a_model(name: str) -> None:
    needed = {"black_box": {"command": "true"}}  # what only the user can name
    agent = find_agent(name, needed.get(name, {}))
    inspect.signature(agent.run).bind(object(), object())


def test_26_a_program_runs_in_its_own_directory_and_episodes_share_no_file(env: TaskEnv) -> None:
    text, _ = run(env, "import os; open('left.txt', 'w'); print(os.getcwd())")
    cwd = text.split("--- stdout ---\n")[1].split("\n")[0]
    assert cwd == env.episode.workspace.sandbox.workdir
    assert cwd != "/tmp"  # noqa: S108
    assert "left.txt" in run(env, "import os; print(os.listdir())")[0]
    env.reset(seed=1)
    text, _ = run(env, "import os; print(os.listdir(), os.listdir('/tmp'))")
    assert "left.txt" not in text


def test_27_dependencies_are_few_and_have_floors_only() -> None:
    required = importlib.metadata.requires("agentbench-agents") or []
    base = [r for r in required if "extra ==" not in r]
    assert len(base) <= 8
    assert not [r for r in required if "==" in r.split(";")[0]]
    heavy = ("torch", "transformers", "openai", "pandas", "tensorflow", "tiktoken", "litellm")
    assert not [r for r in base if r.startswith(heavy)]


def test_28_every_module_of_the_environment_has_tests_and_ci_runs_them() -> None:
    tests = "\n".join(p.read_text() for p in (PACKAGE / "tests").glob("test_*.py"))
    source = PACKAGE / "src" / "agentbench_agents"
    untested = {
        path.stem
        for path in source.glob("*.py")
        if not re.search(rf"agentbench_agents(?:\.| import [^\n]*){path.stem}\b", tests)
    }
    # what TaskEnv, gymnasium.make and run_one are made of: their tests are its tests
    inner = {"__init__", "info", "opening", "output", "registration", "research", "run_files"}
    assert untested <= inner | {"gpu_memory", "step_record"}
    ci = (PACKAGE.parents[1] / ".ci" / "run").read_text()
    assert "pytest" in ci


def test_29_a_long_conversation_is_trimmed_and_the_episode_goes_on(data: Path) -> None:
    lengths: list[int] = []

    def answer(messages: Sequence[Message]) -> str:
        lengths.append(len(messages))
        return GetHistory().to_text()

    env = null_env(data, NullSandbox(), budget=Budget(steps=20))
    find_agent("mle", {"history": 2}).run(env, ScriptedModel(answer))
    assert env.spend.steps == 20
    assert max(lengths) <= 2 + 2 * 2
    talk: list[Message] = [{"role": "user", "content": "the task"}]
    for i in range(60):
        talk.append({"role": "assistant", "content": f"step {i} " + "word " * 50})
        talk.append({"role": "user", "content": "output " * 50})
    fitted = fit(talk, model=ScriptedModel(["what was done"]), window=4000)
    assert fitted.tokens_before > 4000 >= fitted.tokens_after
    assert fitted.messages[0] == talk[0]
    assert fitted.messages[-1] == talk[-1]


def test_all_29_are_here() -> None:
    names = [n for n in vars(sys.modules[__name__]) if n.startswith("test_") and n[5:7].isdigit()]
    assert sorted(int(n[5:7]) for n in names) == list(range(1, 30))
