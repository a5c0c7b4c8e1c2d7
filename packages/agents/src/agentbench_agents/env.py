"""The environment: a real Gymnasium environment around a task, a sandbox and a grader."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentbench_agents.actions import (
    SUBMISSION_ACTIONS,
    Action,
    ActionError,
    parse_action,
    signature,
)
from agentbench_agents.budget import Budget, Spend
from agentbench_agents.episode import Episode, Outcome, check_feedback
from agentbench_agents.errors import AgentsError, EpisodeOverError
from agentbench_agents.research_actions import RESEARCH_ACTIONS
from agentbench_agents.reward import REWARDS, Reward, Transition
from agentbench_agents.spaces import AnyText
from agentbench_agents.trajectory import Trajectory
from agentbench_agents.workspace import DATA, Workspace, verify_hidden

if TYPE_CHECKING:
    from agentbench_sandbox import Limits, Mount, Sandbox
    from agentbench_tasks import ResearchTask, SubmissionTask

Observation = dict[str, Any]


class TaskEnv(gymnasium.Env[Observation, str]):
    """One task as a Gymnasium environment (passes `check_env` without a warning).

    Actions are JSON texts (see `agentbench_agents.actions`; `Action.to_text()` makes them). An
    observation is a dictionary:

    * `text`: what the agent is told;
    * `progress`: progress of the submission just graded, in [0, 1], 0 where the feedback policy
      shows none;
    * `best_progress`: the best so far, in [0, 1];
    * `steps_left`: how many steps remain.

    An episode is terminated by the action `submit` and truncated by the budget. `info` has
    `status`, `action`, `submission`, `score`, `human_rank` and `medal` (None where not shown).

    Args:
        task: A task, or the name of one in the catalogue.
        data_root: Folder of prepared tasks; by default that of `agentbench_tasks.prepare`.
        sandbox: Back end: `auto`, `docker`, `local`, or `unsafe-local` (no isolation at all); or
            a function that opens a sandbox.
        image: Image of the docker back end.
        limits: Limits of the sandbox; by default those of the task.
        feedback: Feedback policy; by default that of the task.
        reward: A name in `REWARDS`, or a function of a `Transition`.
        budget: When the episode is truncated.
        code_timeout_s: Longest run of one program; that of the task, if it is shorter.
        invalid_penalty: Taken from the reward of a step whose action could not be read.
        actions: Actions of your own, beside the five of MLE-Dojo and `submit`.
        directory: Run directory: outputs and submissions are kept there. By default a temporary
            one that `close` removes.
        trajectory: Where events are written; by default nowhere.
        render_mode: None or `ansi`.

    Raises:
        AgentsError: An argument is wrong.
        agentbench_tasks.TasksError: The task is unknown or cannot be prepared.
        agentbench_sandbox.SandboxError: No sandbox can be had (raised by `reset`).
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - Gymnasium's own form

    def __init__(
        self,
        task: "str | SubmissionTask | ResearchTask",
        *,
        data_root: Path | None = None,
        sandbox: "str | Callable[[], Sandbox]" = "auto",
        image: str | None = None,
        limits: "Limits | None" = None,
        feedback: str | None = None,
        reward: str | Reward = "delta",
        budget: Budget | None = None,
        code_timeout_s: float = 600.0,
        invalid_penalty: float = 0.0,
        actions: Sequence[type[Action]] = (),
        directory: Path | None = None,
        trajectory: Trajectory | None = None,
        render_mode: str | None = None,
    ) -> None:
        from agentbench_agents.research import load_any, prepare_any

        loaded = load_any(task) if isinstance(task, str) else task
        self.feedback = feedback or loaded.feedback
        self.is_research = loaded.kind == "research"
        if not self.is_research:
            check_feedback(self.feedback)
        elif self.feedback != "validation":
            raise AgentsError(
                f"a research task shows dev scores (feedback validation), not {self.feedback!r}"
            )
        self.reward = _reward(reward)
        self.budget = budget or Budget()
        self.code_timeout_s = code_timeout_s
        self.invalid_penalty = invalid_penalty
        own = RESEARCH_ACTIONS if self.is_research else SUBMISSION_ACTIONS
        self.actions: tuple[type[Action], ...] = (*own, *actions)
        self.prepared = prepare_any(loaded, data_root)
        self.backend = sandbox
        self.image = image
        self.limits = limits
        self.render_mode = render_mode
        self.trajectory = trajectory or Trajectory(None)
        self.spend = Spend(budget=self.budget)
        self._directory = directory
        self._temporary: Path | None = None
        self._episode: Episode | None = None
        self.on_step: Callable[[TaskEnv], None] | None = None
        self._seed = 0
        self._over = True
        self._last: Observation = {}
        self._text = ""
        self.action_space = AnyText()
        self.observation_space = spaces.Dict(
            {
                "text": AnyText(),
                "progress": spaces.Box(0.0, 1.0, (), np.float64),
                "best_progress": spaces.Box(0.0, 1.0, (), np.float64),
                "steps_left": spaces.Discrete(self.budget.steps + 1),
            }
        )

    @property
    def task(self) -> "SubmissionTask":
        """The task."""
        return self.prepared.task

    @property
    def episode(self) -> Episode:
        """The running or last episode.

        Raises:
            EpisodeOverError: There was none yet.
        """
        if self._episode is None:
            raise EpisodeOverError("no episode has begun; call reset() first")
        return self._episode

    @property
    def last_episode(self) -> Episode | None:
        """The running or last episode, or None."""
        return self._episode

    @property
    def observation(self) -> Observation:
        """The latest observation."""
        return self._last

    @property
    def over(self) -> bool:
        """Whether the episode has ended, or none has begun."""
        return self._over

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in a fresh sandbox.

        Args:
            seed: Seeds `np_random`; the agent's programs see it as `AGENTBENCH_SEED` and
                `PYTHONHASHSEED`.
            options: None are known.

        Raises:
            agentbench_sandbox.SandboxError: No sandbox can be had.
            LeakError: The sandbox holds the data that the task was made from.
        """
        super().reset(seed=seed, options=options)
        self._seed = int(self.np_random.integers(2**32)) if seed is None else seed % 2**32
        self._end_episode()
        self.spend = Spend(budget=self.budget)
        workspace = Workspace(self._open_agent_sandbox, self.prepared.public)
        try:
            if self.backend != "unsafe-local":
                verify_hidden(workspace.sandbox, self.task.hide)
            self._episode = self._begin(workspace)
        except BaseException:
            workspace.close()
            raise
        self._over = False
        self._text = self._greeting()
        info = self._info(Outcome(text=self._text), None)
        self.trajectory.append("observation", {"text": self._text, "step": 0})
        self._last = self._observation(None)
        return self._last, info

    def step(self, action: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action.

        A wrong action is an observation that says what was expected; it still costs a step.

        Raises:
            EpisodeOverError: The episode has ended or was not begun.
        """
        if self._over:
            raise EpisodeOverError("the episode is over; call reset() to begin another")
        episode = self.episode
        before = episode.best_progress(ended=False)
        reached = len(episode.milestones)
        began = self.spend.wall_s
        self.spend.steps += 1
        parsed, outcome = self._apply(action)
        name = parsed.name if parsed is not None else None
        terminated = outcome.done
        truncated = not terminated and self.spend.exceeded() is not None
        done = terminated or truncated
        reward = self.reward(
            Transition(
                before=before,
                after=episode.best_progress(ended=done),
                progress=outcome.progress,
                done=done,
                milestones_before=reached,
                milestones_after=len(episode.milestones),
            )
        )
        if outcome.status == "invalid_action":
            reward -= self.invalid_penalty
        self._text = outcome.text
        self._record(outcome, name, reward, seconds=self.spend.wall_s - began)
        self._over = done
        self._last = self._observation(outcome)
        if self.on_step is not None:
            self.on_step(self)
        return (
            self._last,
            float(reward),
            terminated,
            truncated,
            self._info(outcome, name),
        )

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what the agent was told last, in render mode `ansi`."""
        return self._text if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Close the sandbox and remove temporary files; closing twice is allowed."""
        self._end_episode()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _begin(self, workspace: Workspace) -> Episode:
        if self.is_research:
            from agentbench_agents.research import begin_research

            return begin_research(
                self, workspace, self._run_directory(), self._open_sandbox, seed=self._seed
            )
        return Episode(
            prepared=self.prepared,
            workspace=workspace,
            feedback=self.feedback,
            spend=self.spend,
            trajectory=self.trajectory,
            directory=self._run_directory(),
            code_timeout_s=min(self.code_timeout_s, self.task.resources.wall_s),
        )

    def _apply(self, action: str) -> tuple[Action | None, Outcome]:
        try:
            parsed = parse_action(action, self.actions)
        except ActionError as error:
            self.trajectory.append("action", {"step": self.spend.steps, "text": action[:10_000]})
            return None, Outcome(text=f"Invalid action: {error}.", status="invalid_action")
        self.trajectory.append(
            "action",
            {
                "step": self.spend.steps,
                "action": parsed.name,
                "params": parsed.model_dump(mode="json"),
            },
        )
        return parsed, parsed.apply(self.episode)

    def _record(self, outcome: Outcome, name: str | None, reward: float, *, seconds: float) -> None:
        episode = self.episode
        if outcome.submission is not None:
            graded = episode.submissions[outcome.submission - 1]
            self.trajectory.append(
                "score",
                {
                    "step": self.spend.steps,
                    "submission": graded.number,
                    "sha256": graded.sha256,
                    "shown": _scores(graded.shown),
                    "hidden": _scores(graded.hidden),
                    "issues": [issue.code for issue in graded.issues],
                },
            )
        self.trajectory.append(
            "observation",
            {
                "step": self.spend.steps,
                "status": outcome.status,
                "text": outcome.text,
                "reward": reward,
                "wall_s": round(seconds, 4),
            },
        )
        score = ""
        if outcome.submission is not None:
            shown = episode.submissions[outcome.submission - 1].shown
            score = f", submission {outcome.submission}"
            score += "" if shown is None else f", score {shown.score:.6g}"
        episode.summary.append(
            f"step {self.spend.steps}: {name or 'unreadable action'}: {outcome.status}{score}"
        )

    def _observation(self, outcome: Outcome | None) -> Observation:
        progress = outcome.progress if outcome is not None else None
        return {
            "text": self._text,
            "progress": np.array(progress or 0.0, np.float64),
            "best_progress": np.array(self.episode.best_progress(ended=False), np.float64),
            "steps_left": np.int64(max(0, self.budget.steps - self.spend.steps)),
        }

    def _info(self, outcome: Outcome, name: str | None) -> dict[str, Any]:
        shown = None
        if outcome.submission is not None:
            shown = self.episode.submissions[outcome.submission - 1].shown
        return {
            "status": outcome.status,
            "action": name,
            "submission": outcome.submission,
            "score": None if shown is None else shown.score,
            "human_rank": None if shown is None else shown.human_rank,
            "medal": None if shown is None or shown.medal is None else str(shown.medal),
        }

    def _greeting(self) -> str:
        actions = "\n".join(f"- {signature(a)}" for a in self.actions)
        about = f"\n{self.task.description}\n" if self.is_research else ""
        return (
            f"Task: {self.task.name} ({self.task.title}).\n{about}"
            f"You have {self.budget.steps} steps. Each action is a JSON text "
            '{"action": NAME, "params": {...}}:\n'
            f"{actions}"
        )

    def _open_agent_sandbox(self) -> "Sandbox":
        from agentbench_sandbox import Mount

        return self._open_sandbox((Mount(str(self.prepared.public), DATA),))

    def _open_sandbox(self, mounts: "tuple[Mount, ...]") -> "Sandbox":
        from agentbench_sandbox import Limits, open_sandbox

        if callable(self.backend):
            return self.backend()
        unsafe = self.backend == "unsafe-local"
        resources: Any = self.task.resources  # those of a research task say more
        limits = self.limits or Limits(
            memory_mib=resources.memory_mib,
            disk_mib=min(resources.disk_mib, resources.memory_mib // 2),
            gpus=resources.gpus,
            cpus=resources.cpus if self.is_research else None,
            file_mib=max(1024, resources.output_mib) if self.is_research else 1024,
        )
        return open_sandbox(
            "local" if unsafe else self.backend,
            image=self.image,
            limits=limits,
            mounts=mounts,
            env={"AGENTBENCH_SEED": str(self._seed), "PYTHONHASHSEED": str(self._seed)},
            hide=() if unsafe else self.task.hide,
            unsafe=unsafe,
        )

    def _run_directory(self) -> Path:
        if self._directory is not None:
            return self._directory
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary = Path(tempfile.mkdtemp(prefix="agentbench-run-"))
        return self._temporary

    def _end_episode(self) -> None:
        self._over = True
        if self._episode is not None:
            self._episode.workspace.close()


def _scores(grade: Any) -> dict[str, Any] | None:  # noqa: ANN401
    if grade is None:
        return None
    return {
        "score": grade.score,
        "progress": grade.progress,
        "human_rank": grade.human_rank,
        "medal": None if grade.medal is None else str(grade.medal),
    }


def _reward(reward: str | Reward) -> Reward:
    if not isinstance(reward, str):
        return reward
    if reward not in REWARDS:
        raise AgentsError(f"unknown reward {reward!r}; choose one of {', '.join(REWARDS)}")
    return REWARDS[reward]
