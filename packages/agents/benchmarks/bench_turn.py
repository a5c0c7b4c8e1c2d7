"""What an agent's turn costs beside the model and the program: ours, and inspect_ai's mock model.

    uv run python packages/agents/benchmarks/bench_turn.py [--turns 200] [--repeats 5]

A turn is one call of a scripted model in a conversation that grows, one action in the environment
with a sandbox that runs nothing, and their record on disk. Ours: `react` with fenced code,
`RecordedModel`, `TaskEnv`, the trajectory file; a turn that is graded also reads and scores a
submission of 540 rows, which is work and not overhead, and is printed apart. Theirs: a solver that
calls `generate` with `mockllm/model` once a turn and nothing else, in an evaluation that logs to
disk; its fixed cost is taken out by the difference between two lengths. Both alternate in one run;
CPU time of the process beside wall time, since a busy machine harms the latter. Medians.

inspect_ai counts tokens with tiktoken, which downloads its tables at first use; here the count is
replaced by the length of the text, which only makes it faster.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from agentbench_agents import Budget, TaskEnv
from agentbench_agents.agents.react import React
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.recording import RecordedModel
from agentbench_agents.testing import NullSandbox
from agentbench_agents.trajectory import Trajectory

ANSWER = "I look at the data.\n```python\nprint(1)\n```\n"
Cost = tuple[float, float]


def timed(work: Callable[[], object]) -> Cost:
    """Return wall and CPU seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def ours(turns: int, data: Path, submission: bytes | None) -> Cost:
    with (
        tempfile.TemporaryDirectory() as folder,
        Trajectory(Path(folder) / "trajectory.jsonl") as trajectory,
    ):
        env = TaskEnv(
            "digits",
            data_root=data,
            sandbox=lambda: NullSandbox(submission=submission),
            budget=Budget(steps=turns),
            directory=Path(folder),
            trajectory=trajectory,
        )
        env.reset(seed=0)
        model = RecordedModel(
            ScriptedModel(lambda _: ANSWER), trajectory=trajectory, spend=env.spend
        )
        agent = React(tools=False)
        cost = timed(lambda: agent.run(env, model))
        assert env.spend.steps == turns
        env.close()
    return cost


def theirs(turns: int) -> Cost:
    import inspect_ai
    import inspect_ai.model._model as inspect_model
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageUser, get_model
    from inspect_ai.solver import Generate, TaskState, solver

    async def count(_self: object, text: object) -> int:
        return len(str(text)) // 4

    for cls in vars(inspect_model).values():
        if isinstance(cls, type) and hasattr(cls, "count_tokens"):
            cls.count_tokens = count

    @solver
    def loop():  # noqa: ANN202
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            del generate
            model = get_model()
            for _ in range(turns):
                output = await model.generate(state.messages)
                state.messages += [output.message, ChatMessageUser(content="1\nSteps left: 3.")]
            return state

        return solve

    with tempfile.TemporaryDirectory() as folder:
        task = Task(dataset=[Sample(input="go")], solver=loop())

        def work() -> None:
            (log,) = inspect_ai.eval(task, model="mockllm/model", log_dir=folder, display="none")
            assert log.status == "success", log.error

        return timed(work)


def per_turn(run: Callable[[int], Cost], turns: int, repeats: int) -> Sequence[list[float]]:
    """Return milliseconds a turn, wall and CPU, by the difference of two lengths."""
    wall, cpu = list[float](), list[float]()
    for _ in range(repeats):
        short, long = run(turns // 4), run(turns)
        wall.append((long[0] - short[0]) / (turns - turns // 4) * 1e3)
        cpu.append((long[1] - short[1]) / (turns - turns // 4) * 1e3)
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    os.environ["INSPECT_LOG_LEVEL"] = "error"
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as root:
        data = Path(root)
        env = TaskEnv("digits", data_root=data, sandbox=NullSandbox)
        sample = (env.prepared.public / "sample_submission.csv").read_bytes()
        env.close()
        runs: dict[str, Callable[[int], Cost]] = {
            "ours": lambda n: ours(n, data, None),
            "ours, graded": lambda n: ours(n, data, sample),
            "inspect_ai mockllm": theirs,
        }
        medians: dict[str, tuple[float, float]] = {}
        for run in runs.values():
            run(4)
        for name, run in runs.items():
            wall, cpu = per_turn(run, args.turns, args.repeats)
            medians[name] = statistics.median(wall), statistics.median(cpu)
    print("| a turn | wall ms | CPU ms | CPU, ours = 1 |")
    print("|---|---|---|---|")
    for name, (wall, cpu) in medians.items():
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {cpu / medians['ours'][1]:.1f} |")


if __name__ == "__main__":
    main()
