"""Do again what a run did and compare: same actions, same observations.

Every action on record is taken in the order in which it was taken, branches included: where a path
divides, the environment is forked. Programs get the same seed (`AGENTBENCH_SEED`), so one that is
deterministic gives the same text and the same submission.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agentbench_agents.budget import Budget
from agentbench_agents.errors import RunDirectoryError
from agentbench_agents.run import RUN_FILE, TRAJECTORY_FILE, RunSpec
from agentbench_agents.trajectory import Trajectory, read_trajectory

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv

_Event = Mapping[str, Any]
_COMPARED = {"observation": ("text", "status", "reward"), "score": ("sha256", "shown", "hidden")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that came out differently.

    Attributes:
        step: Number of the step in the run.
        field: What differs: `text`, `status`, `reward`, or of a submission `sha256`, `shown`,
            `hidden`; `missing` for an event that only one of the two has.
        recorded: What the record says.
        replayed: What came this time.
    """

    step: int
    field: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay came to.

    Attributes:
        steps: Actions that were taken.
        differences: Where it went another way; empty if it went the same way.
    """

    steps: int
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether every observation and every submission was the same."""
        return not self.differences


def replay(directory: Path, *, sandbox: str | None = None) -> Replay:
    """Take the actions of a run again, in a fresh sandbox.

    Args:
        directory: The run's directory, `DIR/<run_id>`. It is only read.
        sandbox: Another back end than the run's.

    Raises:
        RunDirectoryError: The directory holds no run.
        agentbench_tasks.TasksError: The task cannot be had.
        agentbench_sandbox.SandboxError: No sandbox can be had.
    """
    spec = _spec(directory)
    recorded = list(read_trajectory(directory / TRAJECTORY_FILE))
    actions = [e for e in recorded if e["type"] == "action"]
    with tempfile.TemporaryDirectory(prefix="agentbench-replay-") as scratch:
        path = Path(scratch) / TRAJECTORY_FILE
        with Trajectory(path) as trajectory:
            env = _environment(spec, trajectory, Path(scratch), sandbox)
            try:
                env.reset(seed=spec.seed)
                _take(env, recorded, actions)
            finally:
                env.close_forks()
                env.close()
        again = list(read_trajectory(path))
    return Replay(steps=len(actions), differences=tuple(_differences(recorded, again)))


def _take(root: "TaskEnv", recorded: Sequence[_Event], actions: Sequence[_Event]) -> None:
    """Take all actions in their order; a place with several ways on is forked."""
    follows = {e["parent"]: e["id"] for e in recorded if e["type"] in ("score", "observation")}
    ways: dict[int | None, int] = {}
    for action in actions:
        ways[action["parent"]] = ways.get(action["parent"], 0) + 1
    first = next((e["id"] for e in recorded if e["type"] == "observation"), None)
    places: dict[int | None, TaskEnv] = {first: root}
    for action in actions:
        place = action["parent"]
        ways[place] -= 1
        env = places[place].fork() if ways[place] else places.pop(place)
        env.step(_text(action))
        end = action["id"]
        while end in follows:
            end = follows[end]
        places[end] = env


def _text(action: _Event) -> str:
    if "action" not in action:
        return str(action["text"])
    return json.dumps({"action": action["action"], "params": action["params"]})


def _differences(recorded: Sequence[_Event], again: Sequence[_Event]) -> list[Difference]:
    found: list[Difference] = []
    for kind, fields in _COMPARED.items():
        old = {e["step"]: e for e in recorded if e["type"] == kind}
        new = {e["step"]: e for e in again if e["type"] == kind}
        for step in sorted({*old, *new}):
            if step not in old or step not in new:
                found.append(
                    Difference(
                        step=step, field="missing", recorded=step in old, replayed=step in new
                    )
                )
                continue
            a, b = old[step], new[step]
            found += [
                Difference(step=step, field=f, recorded=a.get(f), replayed=b.get(f))
                for f in fields
                if a.get(f) != b.get(f)
            ]
    return sorted(found, key=lambda d: d.step)


def _environment(
    spec: RunSpec, trajectory: Trajectory, directory: Path, sandbox: str | None
) -> "TaskEnv":
    from agentbench_agents.env import TaskEnv

    return TaskEnv(
        spec.task,
        data_root=None if spec.data_root is None else Path(spec.data_root),
        sandbox=sandbox or spec.sandbox,
        image=spec.image,
        feedback=spec.feedback,
        reward=spec.reward,
        budget=Budget(steps=spec.budget.steps),
        directory=directory,
        trajectory=trajectory,
    )


def _spec(directory: Path) -> RunSpec:
    path = directory / RUN_FILE
    try:
        return RunSpec.model_validate(json.loads(path.read_text("utf-8"))["spec"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise RunDirectoryError(
            f"{directory} holds no run ({reason}); give a folder with {RUN_FILE}"
        ) from error
