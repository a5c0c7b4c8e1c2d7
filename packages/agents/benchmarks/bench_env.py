"""What the environment costs, beside its targets, in one table.

`python packages/agents/benchmarks/bench_env.py [--docker]`: times are medians of wall-clock times
of this process; run it on a quiet machine. The comparison for `execute_code` is the same command
in the same sandbox, turn and turn about.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium

from agentbench_agents import Budget, ExecuteCode, GetHistory, RequestInfo, TaskEnv
from agentbench_agents.spaces import AnyText
from agentbench_agents.testing import NullSandbox
from agentbench_agents.trajectory import Trajectory
from agentbench_tasks import grade

PAYLOAD = 8000
STEPS = 1000
PROGRAM = "import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')"


def seconds(call: Callable[[], object], times: int) -> list[float]:
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return taken


def ms(values: list[float]) -> float:
    return 1000 * statistics.median(values)


def row(what: str, value: float, unit: str, target: float) -> str:
    verdict = "met" if value <= target else "MISSED"
    return f"| {what} | {value:.3g} {unit} | {target:g} {unit} | {verdict} |"


def information_steps(root: Path, folder: Path) -> Iterator[str]:
    """1,000 recorded `request_info` steps of 8 KB each; the peer goes from 4 to 198 ms."""
    with Trajectory(folder / "t.jsonl") as trajectory:
        env = TaskEnv(
            "digits",
            data_root=root,
            sandbox=NullSandbox,
            budget=Budget(steps=STEPS + 1),
            trajectory=trajectory,
            directory=folder,
        )
        description = env.prepared.public / "description.md"
        kept = description.read_bytes()
        try:
            description.write_bytes(b"word " * (PAYLOAD // 5))
            env.reset(seed=0)
            text = RequestInfo(info_type="overview").to_text()
            taken = seconds(lambda: env.step(text), STEPS)
        finally:
            description.write_bytes(kept)
        env.close()
    written = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    yield row("information step, 8 KB, recorded", ms(taken), "ms", 0.5)
    first, last = taken[:100], taken[-100:]
    yield row("its steps 901..1000 over steps 1..100", ms(last) / ms(first), "x", 1.2)
    yield row("bytes written over payload, 1,000 steps", written / (PAYLOAD * STEPS), "x", 3)


def null_step(root: Path) -> Iterator[str]:
    env = gymnasium.make(
        "agentbench/digits-v0", data_root=root, sandbox=NullSandbox, budget=Budget(steps=10**7)
    )
    env.reset(seed=0)
    for name, action in (("execute_code", ExecuteCode(code="x")), ("get_history", GetHistory())):
        text = action.to_text()
        taken = 1000 * ms(seconds(lambda text=text: env.step(text), 3000))
        yield row(f"gymnasium.make(...).step ({name}), null back end", taken, "us", 150)
    env.close()
    space, text = AnyText(), "x" * 10**6
    taken = 1000 * ms(seconds(lambda: space.contains(text), 3000))
    yield row("AnyText.contains of 1 MB", taken, "us", 5)


def construction(root: Path) -> Iterator[str]:
    made = seconds(lambda: TaskEnv("digits", data_root=root, sandbox=NullSandbox), 50)

    def begin() -> None:
        env = TaskEnv("digits", data_root=root, sandbox=NullSandbox)
        env.reset(seed=0)
        env.close()

    yield row("construction, prepared task", ms(made), "ms", 50)
    yield row("construction, reset and close, null back end", ms(seconds(begin, 50)), "ms", 50)


def execution(root: Path, backend: str) -> Iterator[str]:
    """`execute_code` beside the same bare command in the same sandbox, and beside its grading."""
    env = TaskEnv("digits", data_root=root, sandbox=backend, budget=Budget(steps=10**6))
    env.reset(seed=0)
    sandbox = env.episode.workspace.sandbox
    sandbox.write_file(f"{sandbox.workdir}/bare.py", PROGRAM)
    action = ExecuteCode(code=PROGRAM).to_text()
    bare: list[float] = []
    whole: list[float] = []
    for _ in range(40):
        bare += seconds(
            lambda: sandbox.exec(["python", "bare.py"], timeout_s=60, cwd=sandbox.workdir), 1
        )
        whole += seconds(lambda: env.step(action), 1)
    submission = env.episode.submissions[0].path

    def grading() -> None:
        for part in ("private", "public"):
            grade(env.prepared, submission, part=part)

    graded = seconds(grading, 40)
    overhead = ms([w - b for w, b in zip(whole, bare, strict=True)]) - ms(graded)
    name = sandbox.backend
    yield f"| bare command, {name} | {ms(bare):.3g} ms | | |"
    yield f"| grading, both parts | {ms(graded):.3g} ms | | |"
    yield row(f"execute_code over bare command and grading, {name}", overhead, "ms", 5)
    forked = seconds(lambda: env.fork().close(), 12)
    yield row(f"fork and close, {name}", ms(forked), "ms", 300)
    with sandbox.python() as session:
        session.run("x = list(range(10**6))")

        def fork_session() -> None:
            session.fork()[0].close()

        taken = ms(seconds(fork_session, 20))
        yield row(f"fork of a Python session, {name}", taken, "ms", 50)
    env.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docker", action="store_true", help="also measure the docker back end")
    given = parser.parse_args()
    lines: list[str] = []
    print("| what | measured | target | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="agentbench-bench-") as scratch:
        root = Path(scratch) / "data"
        TaskEnv("digits", data_root=root, sandbox=NullSandbox).close()
        (Path(scratch) / "run").mkdir()
        for part in (
            information_steps(root, Path(scratch) / "run"),
            null_step(root),
            construction(root),
            execution(root, "local"),
            *([execution(root, "docker")] if given.docker else []),
        ):
            for line in part:
                lines.append(line)
                print(line, flush=True)
    return any("MISSED" in line for line in lines)


if __name__ == "__main__":
    sys.exit(main())
