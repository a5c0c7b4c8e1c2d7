"""The environment: a real Gymnasium environment around a task, a sandbox and a grader."""

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentbench_agents.actions import (
    SUBMISSION_ACTIONS,
    Action,
    ActionError,
    check_names,
    parse_action,
    tool_manifest,
)
from agentbench_agents.budget import Budget, Spend
from agentbench_agents.episode import Episode, Outcome, check_feedback
from agentbench_agents.errors import AgentsError, EpisodeOverError
from agentbench_agents.feedback import FeedbackProvider, find_providers
from agentbench_agents.grading import check_parts
from agentbench_agents.info import greeting
from agentbench_agents.opening import UNSAFE, SandboxOpener
from agentbench_agents.research_actions import RESEARCH_ACTIONS
from agentbench_agents.reward import Reward, Transition, find_reward
from agentbench_agents.run_files import RunFiles
from agentbench_agents.spaces import AnyText
from agentbench_agents.step_record import (
    made_in,
    record_action,
    record_outcome,
    step_info,
    summary_line,
)
from agentbench_agents.trajectory import Branch, Trajectory
from agentbench_agents.workspace import Workspace, verify_hidden

if TYPE_CHECKING:
    from agentbench_sandbox import Limits, Sandbox
    from agentbench_tasks import ResearchTask, SubmissionTask

Observation = dict[str, Any]
_BEGINNING = 10_000  # characters on record of an action that is too long for the action space


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
        synthetic: Rows of a made-up stand-in to work on in place of the real data: it needs no
            download, and steps are short. Its scores mean nothing beside those of people.
        sandbox: Back end: `auto`, `docker`, `local`, or `unsafe-local` (no isolation at all); or
            a function that opens a sandbox.
        image: Image of the docker back end.
        limits: Limits of the sandbox; by default those of the task.
        feedback: Feedback policy; by default that of the task.
        providers: Who puts what came of a program into words, one after the other: `template`,
            `analysis`, `human`, or functions of a `Report`, such as a `ModelFeedback`.
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
        synthetic: int | None = None,
        sandbox: "str | Callable[[], Sandbox]" = "auto",
        image: str | None = None,
        limits: "Limits | None" = None,
        feedback: str | None = None,
        providers: Sequence[str | FeedbackProvider] = ("template",),
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
        self.providers = find_providers(providers)
        self.reward = find_reward(reward)
        self.budget = budget or Budget()
        self.code_timeout_s = code_timeout_s
        self.invalid_penalty = invalid_penalty
        own = RESEARCH_ACTIONS if self.is_research else SUBMISSION_ACTIONS
        self.actions: tuple[type[Action], ...] = check_names((*own, *actions))
        self.prepared = prepare_any(loaded, data_root, synthetic=synthetic)
        if not self.is_research:
            check_parts(self.prepared, self.feedback)
        self.backend = sandbox
        self.image = image
        self.limits = limits
        self.render_mode = render_mode
        self.trajectory = trajectory or Trajectory(None)
        self.spend = Spend(budget=self.budget)
        self._directory = directory
        self._files: RunFiles | None = None
        self._episode: Episode | None = None
        self.branch = Branch(self.trajectory)
        self._root: int | None = None
        self._siblings: list[TaskEnv] | None = None
        self._forks: list[TaskEnv] = []
        self._acting = threading.Lock()
        self.on_step: Callable[[TaskEnv], None] | None = None
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
        """Whether the episode has ended, none has begun, or the run's steps are used up."""
        return self._over or self.spend.steps_left == 0

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
            EpisodeOverError: This is a fork, which lives for one episode.
        """
        if self._siblings is not None:
            raise EpisodeOverError(
                "a fork lives for one episode; call reset() on the environment it was made from"
            )
        super().reset(seed=seed, options=options)
        self._end_episode()
        self.spend = Spend(budget=self.budget)
        if self._root is None:
            self._root = self.trajectory.append("note", {"actions": tool_manifest(self.actions)})
        self.branch = Branch(self.trajectory, last=self._root)
        opener = SandboxOpener(
            task=self.task,
            backend=self.backend,
            image=self.image,
            limits=self.limits,
            seed=int(self.np_random.integers(2**32)) if seed is None else seed % 2**32,
        )
        public = self.prepared.public
        workspace = Workspace(lambda: opener.with_data(public), public)
        try:
            if self.backend != UNSAFE:
                verify_hidden(workspace.sandbox, self.task.hide)
            self._files = RunFiles(self._directory)
            self._episode = self._begin(workspace, opener)
        except BaseException:
            workspace.close()
            self._release_files()
            raise
        self._over = False
        self._text = greeting(self.task, self.actions, steps=self.budget.steps)
        self.branch.append("observation", {"text": self._text, "step": 0})
        self._last = self._observation(None)
        return self._last, step_info(Outcome(text=self._text), None, None)

    def step(self, action: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action.

        A wrong action is an observation that says what was expected; it still costs a step. Where
        another branch of the run has taken the last step, nothing is done and the step truncates
        the episode.

        Raises:
            EpisodeOverError: The episode has ended or was not begun.
        """
        with self._acting:
            result = self._step(action)
        if self.on_step is not None:
            self.on_step(self)
        return result

    def fork(self) -> "TaskEnv":
        """Return an environment in the same state, whose future is its own.

        Copied: the files of the working directory (in a sandbox of its own), submissions,
        milestones, history, the latest observation, `np_random`. Processes are not: each program
        ends with its step, and a Python session that an action of your own had opened belongs to
        the sandbox that was left. Shared, since they are the run's: the budget (`spend`), the
        trajectory, where the path divides here, the run directory with its numbering of
        submissions and outputs, and whatever objects you had passed in (`reward`, `actions`,
        `on_step`). Branches may act in different threads. `close` ends one branch; `close_forks`
        all that were made from one.

        Raises:
            EpisodeOverError: No episode is running.
            WorkspaceError: The agent has left its directory so that it cannot be copied.
            agentbench_sandbox.SandboxError: No second sandbox can be had.
        """
        with self._acting:
            if self.over or self._files is None:
                raise EpisodeOverError("only a running episode can be forked; call reset() first")
            workspace = self.episode.workspace.fork()
            twin = copy.copy(self)
            twin._part(self._forks, workspace)  # noqa: SLF001 - a method of its own class
        return twin

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what the agent was told last, in render mode `ansi`."""
        return self._text if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Close the sandbox and remove temporary files; closing twice is allowed.

        Forks stay as they are.
        """
        self._end_episode()

    def close_forks(self) -> None:
        """Close all forks of this environment, and theirs."""
        while self._forks:
            fork = self._forks.pop()
            fork.close_forks()
            fork.close()

    def _begin(self, workspace: Workspace, opener: SandboxOpener) -> Episode:
        assert self._files is not None  # noqa: S101 - reset() has made them
        if self.is_research:
            from agentbench_agents.research import begin_research

            return begin_research(self, workspace, self._files, opener, seed=opener.seed)
        return Episode(
            prepared=self.prepared,
            workspace=workspace,
            feedback=self.feedback,
            spend=self.spend,
            files=self._files,
            code_timeout_s=min(self.code_timeout_s, self.task.resources.wall_s),
            providers=self.providers,
        )

    def _step(self, action: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self._over:
            raise EpisodeOverError("the episode is over; call reset() to begin another")
        number = self.spend.take_step()
        if number is None:
            self._over = True
            return self._last, 0.0, False, True, step_info(Outcome(text=self._text), None, None)
        episode = self.episode
        episode.step = number
        before = episode.best_progress(ended=False)
        reached = len(episode.milestones)
        began = self.spend.wall_s
        name, outcome = self._apply(number, action)
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
        made = made_in(episode, outcome)
        record_outcome(
            self.branch, number, outcome, made, reward=reward, wall_s=self.spend.wall_s - began
        )
        episode.summary.append(summary_line(number, name, outcome, made))
        self._text, self._over = outcome.text, done
        self._last = self._observation(outcome)
        return self._last, float(reward), terminated, truncated, step_info(outcome, name, made)

    def _apply(self, number: int, text: str) -> tuple[str | None, Outcome]:
        longest = self.action_space.max_length
        if not self.action_space.contains(text):
            record_action(self.branch, number, str(text)[:_BEGINNING])
            said = f"Invalid action: no text of at most {longest} characters."
            return None, Outcome(text=said, status="invalid_action")
        try:
            action = parse_action(text, self.actions)
        except ActionError as error:
            record_action(self.branch, number, text)
            return None, Outcome(text=f"Invalid action: {error}.", status="invalid_action")
        record_action(self.branch, number, action)
        return action.name, action.apply(self.episode)

    def _observation(self, outcome: Outcome | None) -> Observation:
        progress = outcome.progress if outcome is not None else None
        return {
            "text": self._text,
            "progress": np.array(progress or 0.0, np.float64),
            "best_progress": np.array(self.episode.best_progress(ended=False), np.float64),
            "steps_left": np.int64(self.spend.steps_left),
        }

    def _part(self, siblings: "list[TaskEnv]", workspace: Workspace) -> None:
        """Give a shallow copy of an environment everything that is not the run's."""
        assert self._files is not None  # noqa: S101 - the episode is running
        self._episode = self.episode.fork(workspace)
        self._files = self._files.share()
        self.branch = self.branch.fork()
        self._last = copy.deepcopy(self._last)
        self._np_random = copy.deepcopy(self._np_random)
        self.action_space = copy.deepcopy(self.action_space)
        self.observation_space = copy.deepcopy(self.observation_space)
        self._acting = threading.Lock()
        self._forks = []
        self._siblings = siblings
        siblings.append(self)

    def _end_episode(self) -> None:
        self._over = True
        if self._episode is not None:
            self._episode.workspace.close()
        self._release_files()
        if self._siblings is not None:
            with suppress(ValueError):  # it is closed twice
                self._siblings.remove(self)

    def _release_files(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.release()
