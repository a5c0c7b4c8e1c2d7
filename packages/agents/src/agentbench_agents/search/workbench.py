"""What one expansion works with: the model, and forks of the environment to run programs in."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agentbench_agents.actions import Action, ExecuteCode, RequestInfo
from agentbench_agents.errors import BudgetExceededError
from agentbench_agents.models import Sampling
from agentbench_agents.output import trim
from agentbench_agents.search.answer import Answer, AnswerError, parse_answer
from agentbench_agents.search.hidden_split import Rehearse, held_out_metric
from agentbench_agents.search.metric import printed_metric
from agentbench_agents.search.node import Outcome
from agentbench_agents.search.operators import prompt_text

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Message, Model

_TASK = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """A `Desk` on a real environment; safe to use from several threads.

    Attributes:
        env: Is forked for each program, and never stepped.
        sampling: How the model draws; `seeded` gives each expansion a seed of its own.
        repairs: How often an answer that cannot be read may be mended.
        facts: See `task_facts`.
    """

    env: "TaskEnv"
    model: "Model"
    facts: Mapping[str, str]
    sampling: Sampling
    repairs: int
    _forking: threading.Lock = field(default_factory=threading.Lock)

    def seeded(self, seed: int) -> "Workbench":
        """Return the same for another expansion."""
        return replace(self, sampling=replace(self.sampling, seed=seed))

    def ask(self, prompt: str) -> Answer:
        """Ask the model for a plan and a program.

        Raises:
            AnswerError: No answer could be read, after all repairs.
            BudgetExceededError: The budget is spent.
        """
        messages: list[Message] = [
            {"role": "system", "content": prompt_text("system")},
            {"role": "user", "content": prompt},
        ]
        for _ in range(self.repairs):
            completion = self.model.complete(messages, sampling=self.sampling)
            try:
                return parse_answer(completion.text)
            except AnswerError as error:
                told = f"That answer cannot be used: {error}. Write the whole answer again."
                messages.append(completion.as_message())
                messages.append({"role": "user", "content": told})
        return parse_answer(self.model.complete(messages, sampling=self.sampling).text)

    def run(self, code: str) -> str:
        """Run a program in a fork, whatever it writes, and return what is told."""
        return self._step(ExecuteCode(code=code))[0]

    def evaluate(self, answer: Answer) -> Outcome:
        """Run a program in a fork and read its validation metric.

        It is the score that the environment shows; where the feedback policy shows none, what the
        program printed in the form of `printed_metric`.

        Raises:
            BudgetExceededError: The budget is spent.
        """
        told, info = self._step(ExecuteCode(code=answer.code))
        metric: float | None = info["score"]
        if info["status"] != "ok":
            metric = None
        elif metric is None:
            metric = printed_metric(told)
            if metric is None:
                told += "\nIt printed no line of the form `validation: 0.1234`."
        return Outcome(plan=answer.plan, code=answer.code, output=told, metric=metric)

    def rehearse(self, code: str, *, split: int) -> float | None:
        """Run a program on a hidden split and return the metric, None if it failed.

        Raises:
            NoSplitError: No hidden split can be made of this task.
            BudgetExceededError: The budget is spent.
        """
        told, info = self._step(Rehearse(code=code, split=split))
        return held_out_metric(told) if info["status"] == "ok" else None

    def _step(self, action: Action) -> tuple[str, dict[str, Any]]:
        """Take one step in a fork; the text holds nothing that depends on other forks."""
        with self._fork() as child:
            observation, _, _, _, info = child.step(action.to_text())
            if info["action"] is None:
                raise BudgetExceededError(f"the run is over: {child.spend.exceeded()}")
            told = _without_place(str(observation["text"]), child)
        if info["submission"] is not None and info["status"] == "ok":
            # Numbers of submissions count over all branches, in the order in which they end.
            told = told.rpartition(f"\nSubmission {info['submission']}")[0]
        return told, info

    @contextmanager
    def _fork(self) -> "Generator[TaskEnv]":
        with self._forking:
            child = self.env.fork()
        try:
            child.actions = (*child.actions, Rehearse)
            yield child
        finally:
            child.close()


def task_facts(env: "TaskEnv") -> dict[str, str]:
    """Ask the environment about its task, which takes a step; metric and direction are the task's.

    Returns:
        `task`, `metric`, `direction` and `seconds`, for prompts.
    """
    told = _without_place(str(env.step(RequestInfo(info_type="all").to_text())[0]["text"]), env)
    return {
        "task": trim(told, limit=_TASK),
        "metric": env.task.metric.name,
        "direction": "higher" if env.task.higher_is_better else "lower",
        "seconds": f"{env.episode.code_timeout_s:g}",
    }


def _without_place(text: str, env: "TaskEnv") -> str:
    """Cut the working directory out of paths: some back ends make one for each sandbox."""
    return text.replace(f"{env.episode.workspace.sandbox.workdir}/", "")
