"""A model that writes down what is said and stops when the budget is spent."""

import json
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentbench_agents.budget import Spend
from agentbench_agents.errors import AgentParameterError, BudgetExceededError
from agentbench_agents.models import Sampling
from agentbench_agents.trajectory import Trajectory

if TYPE_CHECKING:
    from agentbench_agents.models import Completion, Message, Model, ToolSchema


_REMEMBERED = 256  # messages whose token ids are at hand, to store what follows as a difference


class RecordedModel:
    """Passes calls on to `model`, records messages once each, and adds up tokens and cost.

    A prompt whose tokens begin with all that an earlier turn read and wrote is recorded as that
    turn's id (`prompt_continues`) and the tokens after it, so that a long talk costs no more bytes
    a turn than a short one. Tools are recorded once, as a note that messages point to.
    """

    def __init__(self, model: "Model", *, trajectory: Trajectory, spend: Spend) -> None:
        self._model = model
        self._trajectory = trajectory
        self._spend = spend
        self._offered: dict[str, int] = {}
        self._read: OrderedDict[int, array[int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    def complete(
        self,
        messages: "Sequence[Message]",
        *,
        tools: "Sequence[ToolSchema]" = (),
        sampling: Sampling | None = None,
    ) -> "Completion":
        """Complete a conversation.

        Raises:
            BudgetExceededError: The budget was spent before the call.
            ModelError: The model could not be reached or did not answer properly.
        """
        spent = self._spend.exceeded()
        if spent is not None:
            raise BudgetExceededError(f"the run is over: {spent}")
        asked = self._trajectory.append_messages(messages)
        offered = self._offer(tools)
        began = time.monotonic()
        completion = self._model.complete(messages, tools=tools, sampling=sampling or Sampling())
        usage = completion.usage
        self._spend.add(
            tokens=(usage.prompt_tokens or 0) + (usage.completion_tokens or 0),
            cost_usd=usage.cost_usd,
        )
        answered = self._trajectory.append_messages(
            [completion.as_message()],
            parent=asked,
            data={
                "model": self._model.name,
                "wall_s": round(time.monotonic() - began, 4),
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cost_usd": usage.cost_usd,
                "finish_reason": completion.finish_reason,
                **offered,
                **self._tokens(completion),
            },
        )
        self._remember(answered, completion)
        return completion

    def close(self) -> None:
        """Close the model."""
        self._model.close()

    def _offer(self, tools: "Sequence[ToolSchema]") -> dict[str, int]:
        """Record a set of tools once; return what a message says of it."""
        if not tools:
            return {}
        key = json.dumps(tools, sort_keys=True)
        with self._lock:
            if key not in self._offered:
                self._offered[key] = self._trajectory.append("note", {"tools": list(tools)})
            return {"tools": self._offered[key]}

    def _tokens(self, completion: "Completion") -> dict[str, Any]:
        """Return what training on policy needs, where the back end knows it."""
        found: dict[str, Any] = {
            "token_ids": completion.token_ids,
            "logprobs": completion.logprobs,
            "reasoning": completion.reasoning or None,
        }
        if completion.prompt_token_ids is not None:
            prompt = array("q", completion.prompt_token_ids)
            earlier, shared = self._longest_prefix(prompt)
            found["prompt_continues"] = earlier
            found["prompt_token_ids"] = prompt[shared:].tolist()
        return {name: value for name, value in found.items() if value is not None}

    def _longest_prefix(self, prompt: "array[int]") -> tuple[int | None, int]:
        best: tuple[int | None, int] = (None, 0)
        with self._lock:
            for number, tokens in self._read.items():
                if best[1] < len(tokens) <= len(prompt) and prompt[: len(tokens)] == tokens:
                    best = (number, len(tokens))
        return best

    def _remember(self, number: int | None, completion: "Completion") -> None:
        if number is None or completion.prompt_token_ids is None or completion.token_ids is None:
            return
        with self._lock:
            self._read[number] = array("q", (*completion.prompt_token_ids, *completion.token_ids))
            while len(self._read) > _REMEMBERED:
                self._read.popitem(last=False)


class NoModel:
    """Stands in where no model was asked for; calling it is an error of the agent."""

    name = "none"

    def complete(
        self,
        messages: "Sequence[Message]",
        *,
        tools: "Sequence[ToolSchema]" = (),
        sampling: Sampling | None = None,
    ) -> "Completion":
        """Refuse.

        Raises:
            AgentParameterError: Always.
        """
        del messages, tools, sampling
        raise AgentParameterError(
            "this agent needs a language model; name one with --model, e.g. openai:NAME"
        )

    def close(self) -> None:
        """Nothing is open."""


def usage_note(spend: Spend) -> dict[str, Any]:
    """Return what a run has spent, for its result."""
    return {"tokens": spend.tokens, "cost_usd": spend.cost_usd, "wall_s": round(spend.wall_s, 3)}
