"""One run: a task, an agent, a model and a seed, from `run.json` to `result.json`."""

import hashlib
import json
import os
import platform
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentbench_agents.agents import find_agent
from agentbench_agents.budget import Budget
from agentbench_agents.errors import BudgetExceededError, EpisodeOverError, RunDirectoryError
from agentbench_agents.models import ContextLengthError, ModelError, WindowedModel, open_model
from agentbench_agents.recording import NoModel, RecordedModel, usage_note
from agentbench_agents.research import research_fields
from agentbench_agents.research_result import AnchorError
from agentbench_agents.trajectory import Trajectory

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Gate, Model

RUN_FILE = "run.json"
RESULT_FILE = "result.json"
TRAJECTORY_FILE = "trajectory.jsonl"
_PACKAGES = ("agentbench-agents", "agentbench-tasks", "agentbench-scoring", "agentbench-sandbox")


class RunSpec(BaseModel):
    """What a run is asked to be. Equal specs are the same run.

    Attributes:
        task: Name of a task, or the path of a task file.
        agent: Name of an agent, or `module:attribute`.
        agent_params: Keyword arguments of the agent.
        model: Model such as `openai:NAME`, or None.
        base_url: Address of the model's server, or None for that of its provider.
        window: Tokens that the model can read and write; a conversation that takes more than 90 %
            of it is compacted. None is what the model itself says, where it knows.
        sandbox: Back end.
        data_root: Folder of prepared tasks, or None for the default one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    agent: str = "baseline"
    agent_params: Mapping[str, Any] = Field(default_factory=dict)
    model: str | None = None
    base_url: str | None = None
    window: int | None = Field(default=None, ge=256)
    seed: int = 0
    budget: Budget = Budget()
    feedback: str | None = None
    reward: str = "delta"
    sandbox: str = "auto"
    image: str | None = None
    data_root: str | None = None

    @property
    def run_id(self) -> str:
        """A name that a person can read, with a digest of the whole spec."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        parts = [Path(self.task).stem, self.agent, *([self.model] if self.model else [])]
        readable = "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", p).strip("-")[:40] for p in parts)
        return f"{readable}_s{self.seed}_{digest}"


class RunResult(BaseModel):
    """A row of `results.jsonl`.

    Attributes:
        status: `scored`; `invalid` (no submission was valid); `failed` (there was none); `infra`
            (the model's server or the sandbox failed: not a score of the agent).
        score: The task's metric on the part of the answers that was never shown.
        margin: Part of the way from the trivial to the strong reference, in percent, unclipped.
        research: The fields of a `ResearchOutcome`, for a research task.
        feedback: What the agent could learn from the grader.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    task: str
    task_version: str
    family: str | None = None
    metric: str
    higher_is_better: bool
    agent: str
    model: str | None
    seed: int
    status: Literal["scored", "invalid", "failed", "infra"]
    error: str | None = None
    score: float | None = None
    human_rank: float | None = None
    medal: str | None = None
    margin: float | None = None
    trivial: float | None = None
    strong: float | None = None
    submission: int | None = None
    submissions: int = 0
    steps: int = 0
    wall_s: float = 0.0
    tokens: int = 0
    cost_usd: float | None = None
    research: Mapping[str, Any] | None = None
    feedback: str
    sandbox: str
    finished: str
    versions: Mapping[str, str]


def run_one(
    spec: RunSpec,
    directory: Path,
    *,
    on_begin: Callable[["TaskEnv"], None] | None = None,
    on_step: Callable[["TaskEnv"], None] | None = None,
    gate: "Gate | None" = None,
) -> RunResult:
    """Carry out a run in its directory and return the result (not yet written).

    A failing provider (model server, sandbox), or a baseline of ours that does not run, gives
    status `infra`; an agent that crashes, or talks
    more than its model can read, gets the score of what it had submitted, and the trajectory has a
    note of it. Give runs on one account the same `gate`.

    Raises:
        RunDirectoryError: The directory cannot be written.
        AgentsError: The agent or the model cannot be made.
        agentbench_tasks.TasksError: The task cannot be had.
    """
    from agentbench_agents.env import TaskEnv
    from agentbench_sandbox import SandboxError

    agent = find_agent(spec.agent, spec.agent_params)
    with Trajectory(directory / TRAJECTORY_FILE) as trajectory:
        env = TaskEnv(
            spec.task,
            data_root=None if spec.data_root is None else Path(spec.data_root),
            sandbox=spec.sandbox,
            image=spec.image,
            feedback=spec.feedback,
            reward=spec.reward,
            budget=spec.budget,
            directory=directory,
            trajectory=trajectory,
        )
        env.on_step = on_step
        if on_begin is not None:
            on_begin(env)
        error: str | None = None
        model = (
            open_model(spec.model, base_url=spec.base_url, gate=gate) if spec.model else NoModel()
        )
        try:
            env.reset(seed=spec.seed)
            write_json(directory / RUN_FILE, run_record(spec, env))
            _drive(agent, env, model, window=spec.window)
            if env.is_research:
                env.close_forks()
                env.episode.final_submission()
        except (ModelError, SandboxError, AnchorError) as failure:
            error = str(failure)
            trajectory.append("note", {"infra": error})
        finally:
            result = _result(spec, env, error)
            model.close()
            env.close_forks()
            env.close()
        trajectory.append("note", {"result": result.model_dump(mode="json")})
    return result


def run_record(spec: RunSpec, env: "TaskEnv") -> dict[str, Any]:
    """Return what `run.json` says once the sandbox is known."""
    return {
        "spec": spec.model_dump(mode="json"),
        "task": {
            "name": env.task.name,
            "version": env.task.version,
            "digest": env.prepared.digest,
        },
        "feedback": env.feedback,
        "sandbox": dict(env.episode.workspace.sandbox.describe()),
        "versions": versions(),
    }


def planned_record(spec: RunSpec) -> dict[str, Any]:
    """Return what `run.json` says before the run has begun."""
    return {"spec": spec.model_dump(mode="json")}


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_result(directory: Path, result: RunResult) -> None:
    """Write `result.json`, whole or not at all."""
    write_json(directory / RESULT_FILE, result.model_dump(mode="json"))


def _drive(
    agent: Any,  # noqa: ANN401
    env: "TaskEnv",
    model: "Model | NoModel",
    *,
    window: int | None,
) -> None:
    from agentbench_sandbox import SandboxError

    recorded = RecordedModel(model, trajectory=env.trajectory, spend=env.spend)
    window = window or getattr(model, "window", None)
    handed = recorded if window is None else WindowedModel(recorded, window=window)
    try:
        agent.run(env, handed)
    except (BudgetExceededError, EpisodeOverError, ContextLengthError) as reached:
        env.trajectory.append("note", {"stopped": str(reached)})
    except (ModelError, SandboxError, RunDirectoryError, KeyboardInterrupt):
        raise
    except Exception:  # noqa: BLE001 - an agent is somebody else's program
        env.trajectory.append("note", {"agent_crashed": traceback.format_exc()})


def _result(spec: RunSpec, env: "TaskEnv", error: str | None) -> RunResult:
    episode = env.last_episode
    final = episode.final_submission() if episode is not None and error is None else None
    grade = final.hidden if final is not None else None
    research = research_fields(env) if env.is_research and error is None else {}
    count = len(episode.submissions) if episode is not None else 0
    status = "scored" if grade is not None else "invalid" if count else "failed"
    anchors = env.task.anchors
    if not env.is_research:
        research = {
            "margin": None if grade is None or grade.margin is None else 100 * grade.margin,
            "trivial": None if anchors.trivial is None else anchors.trivial.value,
            "strong": None if anchors.strong is None else anchors.strong.value,
        }
    return RunResult(
        run_id=spec.run_id,
        task=env.task.name,
        task_version=str(env.task.version),
        family=env.task.family,
        metric=env.task.metric.name,
        higher_is_better=env.task.higher_is_better,
        agent=spec.agent,
        model=spec.model,
        seed=spec.seed,
        status="infra" if error is not None else status,
        error=error,
        score=None if grade is None or error else grade.score,
        human_rank=None if grade is None or error else grade.human_rank,
        medal=None if grade is None or error or grade.medal is None else str(grade.medal),
        **research,
        submission=None if final is None else final.number,
        submissions=count,
        steps=env.spend.steps,
        feedback=env.feedback,
        sandbox=episode.workspace.sandbox.backend if episode is not None else spec.sandbox,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        **usage_note(env.spend),
    )


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Raises:
        RunDirectoryError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error
