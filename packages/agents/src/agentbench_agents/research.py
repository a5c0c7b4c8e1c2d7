"""Where research tasks join what is written for submission tasks: load, prepare, begin.

`TaskEnv` and `run_one` use the same few attributes of both kinds (name, hide, resources, public;
submissions, milestones, best_progress, final_submission), so that either passes for the other.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agentbench_agents.budget import Budget
from agentbench_agents.errors import AgentsError
from agentbench_agents.protocol import Runner
from agentbench_agents.research_episode import ResearchEpisode
from agentbench_agents.research_result import ResearchOutcome
from agentbench_agents.run_files import RunFiles

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.episode import Episode
    from agentbench_agents.workspace import Workspace
    from agentbench_sandbox import Mount, Sandbox
    from agentbench_tasks import PreparedResearch, PreparedTask, ResearchTask, SubmissionTask


def load_any(name: str) -> "SubmissionTask | ResearchTask":
    """Load a task of either kind by name or path.

    Raises:
        agentbench_tasks.TasksError: There is none, or its file is wrong.
    """
    from agentbench_tasks import load_research, load_task, research_names

    return load_research(name) if name in research_names() else load_task(name)


def budget_of(
    task: "SubmissionTask | ResearchTask",
    *,
    steps: int | None = None,
    wall_s: float | None = None,
    tokens: int | None = None,
    cost_usd: float | None = None,
) -> Budget:
    """Return what a run may spend: what is given, else what the task gives by itself."""
    if task.kind == "research":
        own = task.budget
        steps, wall_s = steps or own.steps, wall_s or own.wall_s
        cost_usd = own.cost_usd if cost_usd is None else cost_usd
    spend = Budget(wall_s=wall_s, tokens=tokens, cost_usd=cost_usd)
    return spend if steps is None else spend.model_copy(update={"steps": steps})


def prepare_any(
    task: "SubmissionTask | ResearchTask",
    root: Path | None = None,
    *,
    synthetic: int | None = None,
) -> "PreparedTask":
    """Prepare a task of either kind, or a stand-in of so many rows for one with tables.

    Raises:
        AgentsError: A stand-in for a research task was asked for.
        agentbench_tasks.TasksError: It cannot be prepared.
    """
    from agentbench_tasks import prepare, prepare_research

    if task.kind == "research":
        if synthetic is not None:
            raise AgentsError(f"{task.name} is a research task: it has no synthetic stand-in")
        return cast("PreparedTask", prepare_research(task, root))
    return prepare(task, root, synthetic=synthetic)


def begin_research(
    env: "TaskEnv",
    workspace: "Workspace",
    files: RunFiles,
    open_sandbox: "Callable[[tuple[Mount, ...]], Sandbox]",
    *,
    seed: int,
) -> "Episode":
    """Begin an episode of a research task.

    Raises:
        AgentsError: The back end is a function, which cannot make runners.
    """
    if callable(env.backend):
        raise AgentsError("a research task needs a sandbox back end by name: it opens several")
    prepared = cast("PreparedResearch", env.prepared)
    episode = ResearchEpisode(
        prepared=prepared,
        workspace=workspace,
        runner=Runner(prepared=prepared, open_sandbox=open_sandbox, seed=seed),
        feedback=env.feedback,
        spend=env.spend,
        trajectory=env.trajectory,
        files=files,
        providers=env.providers,
    )
    # The first run of an instance measures its anchors: not at the expense of the agent.
    env.spend.started = time.monotonic()
    return cast("Episode", episode)


def research_fields(env: "TaskEnv") -> dict[str, Any]:
    """Return what a result says of a research run: margin, both ends, and all objective scores.

    A run without a tested submission has margin 0: the baseline is still there.
    """
    episode = cast("ResearchEpisode | None", env.last_episode)
    found = (episode.result if episode is not None else None) or ResearchOutcome()
    return {
        "margin": found.margin,
        "trivial": found.baseline,
        "strong": found.reference,
        "research": asdict(found),
    }
