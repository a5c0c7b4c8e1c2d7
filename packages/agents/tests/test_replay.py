import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from agentbench_agents import (
    Budget,
    ExecuteCode,
    GetHistory,
    RequestInfo,
    RunDirectoryError,
    RunSpec,
    Submit,
    TaskEnv,
    ValidateCode,
    run_one,
)
from agentbench_agents.replay import replay
from agentbench_agents.testing import NullSandbox
from agentbench_agents.trajectory import Trajectory, read_trajectory

WRITE = """
import csv, os, random
random.seed(int(os.environ["AGENTBENCH_SEED"]) + {salt})
ids = [row["id"] for row in csv.DictReader(open("input/test.csv"))]
with open("submission.csv", "w") as file:
    file.write("id,digit\\n" + "".join(f"{{i}},{{random.randrange(10)}}\\n" for i in ids))
print("wrote", len(ids), open("past.txt").read() if os.path.exists("past.txt") else "")
open("past.txt", "a").write("{salt} ")
"""


class Branching:
    """Tries two programs on from the same place, and mistakes."""

    needs_model = False

    def run(self, env: TaskEnv, model: object) -> None:
        del model
        env.step(RequestInfo(info_type="all").to_text())
        env.step(ExecuteCode(code=WRITE.format(salt=1)).to_text())
        left, right = env.fork(), env.fork()
        left.step(ExecuteCode(code=WRITE.format(salt=2)).to_text())
        env.step(json.dumps({"action": "execute_code", "params": {"code": "#" * 20_000, "x": 1}}))
        right.step(ExecuteCode(code=WRITE.format(salt=3)).to_text())
        deeper = left.fork()
        right.step(ExecuteCode(code="1 / 0").to_text())
        left.step(ValidateCode(code=WRITE.format(salt=5)).to_text())
        deeper.step(GetHistory().to_text())
        env.step(ExecuteCode(code=WRITE.format(salt=4)).to_text())
        env.step(Submit().to_text())


class Wavering:
    """Writes what is different each time."""

    needs_model = False

    def run(self, env: TaskEnv, model: object) -> None:
        del model
        env.step(ExecuteCode(code="import time; print(time.time_ns())").to_text())
        env.step(GetHistory().to_text())


def carried_out(agent: type, data: Path, folder: Path) -> Path:
    sys.modules.setdefault(agent.__module__, sys.modules[__name__])
    spec = RunSpec(
        task="digits",
        agent=f"{agent.__module__}:{agent.__name__}",
        sandbox="local",
        seed=7,
        data_root=str(data),
    )
    folder.mkdir()
    run_one(spec, folder)
    return folder


def test_a_run_with_branches_replays_to_the_same_observations(data: Path, tmp_path: Path) -> None:
    folder = carried_out(Branching, data, tmp_path / "run")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    done = replay(folder)
    assert done.steps == 10
    assert done.same, done.differences
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_what_comes_out_differently_is_named(data: Path, tmp_path: Path) -> None:
    done = replay(carried_out(Wavering, data, tmp_path / "run"))
    assert [(d.step, d.field) for d in done.differences] == [(1, "text")]
    assert "stdout" in done.differences[0].recorded


def test_a_changed_submission_is_noticed(data: Path, tmp_path: Path) -> None:
    folder = carried_out(Branching, data, tmp_path / "run")
    path = folder / "trajectory.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    action = next(e for e in events if e["type"] == "action" and e["step"] == 2)
    action["params"]["code"] = WRITE.format(salt=9)
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    found = {(d.step, d.field) for d in replay(folder).differences}
    assert (2, "sha256") in found
    assert (2, "text") in found


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"holds no run .*run\.json"):
        replay(tmp_path)


def test_a_run_of_1000_steps_writes_the_same_bytes_at_each(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "trajectory.jsonl"
    payload = "x" * 8000
    box = NullSandbox(stdout=payload.encode())
    with Trajectory(path) as trajectory:
        env = TaskEnv(
            "digits",
            data_root=data,
            sandbox=lambda: box,
            trajectory=trajectory,
            directory=tmp_path,
            budget=Budget(steps=1001),
        )
        env.reset(seed=0)
        for _ in range(1000):
            env.step(ExecuteCode(code="print('x' * 8000)").to_text())
        env.close()
    grown: Counter[int] = Counter()
    same: Counter[int] = Counter()  # but for the digits of numbers and times
    for line in path.read_bytes().splitlines(keepends=True):
        event = json.loads(line)
        grown[event.get("step", 0)] += len(line)
        plain = {k: 0 if isinstance(v, int | float) else v for k, v in event.items()}
        same[event.get("step", 0)] += len(json.dumps(plain))
    del grown[0], same[0]
    written = path.stat().st_size
    kept = sum(p.stat().st_size for p in (tmp_path / "outputs").iterdir())
    print(  # noqa: T201 - the figures that the issue asks for: pytest -s
        f"\n1000 steps with 8000 bytes of output each: trajectory.jsonl {written} bytes "
        f"({min(grown.values())} to {max(grown.values())} a step), outputs/ {kept} bytes, together "
        f"{(written + kept) / 8e6:.2f} times the payload"
    )
    assert len(same) == 1000
    assert len({*same.values()}) == 1
    assert (written + kept) / (1000 * len(payload)) <= 3


STEPPING = """
import sys
from pathlib import Path
from agentbench_agents import Budget, ExecuteCode, TaskEnv
from agentbench_agents.testing import NullSandbox
from agentbench_agents.trajectory import Trajectory

folder = Path(sys.argv[1])
trajectory = Trajectory(folder / "trajectory.jsonl")
box = NullSandbox(stdout=b"y" * 4000)
env = TaskEnv("digits", data_root=Path(sys.argv[2]), sandbox=lambda: box, trajectory=trajectory,
              directory=folder, budget=Budget(steps=10**6))
env.reset(seed=0)
while True:
    env.step(ExecuteCode(code="x").to_text())
    print(env.spend.steps, flush=True)
"""


@pytest.mark.parametrize("after", [3, 40])
def test_kill_9_loses_at_most_the_event_being_written(
    after: int, data: Path, tmp_path: Path
) -> None:
    TaskEnv("digits", data_root=data, sandbox=NullSandbox).close()
    with subprocess.Popen(
        [sys.executable, "-c", STEPPING, str(tmp_path), str(data)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        seen = 0
        for _ in range(after):
            seen = int(process.stdout.readline())
        time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        seen = max([seen, *(int(n) for n in process.stdout.read().split())])
    raw = (tmp_path / "trajectory.jsonl").read_bytes()
    events = list(read_trajectory(tmp_path / "trajectory.jsonl"))
    assert len(events) >= raw.count(b"\n")
    assert [e["id"] for e in events] == list(range(1, len(events) + 1))
    steps = [e["step"] for e in events if e["type"] == "observation"]
    assert steps == list(range(len(steps)))
    assert steps[-1] >= seen
