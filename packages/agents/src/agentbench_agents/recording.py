"""A model that writes down what is said and stops when the budget is spent."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agentbench_agents.budget import Spend
from agentbench_agents.errors import AgentParameterError, BudgetExceededError
from agentbench_agents.models import Sampling
from agentbench_agents.trajectory import Trajectory

if TYPE_CHECKING:
    from agentbench_agents.models import Completion, Message, Model, ToolSchema


class RecordedModel:
    """Passes calls on to `model`, records messages once each, and adds up tokens and cost."""

    def __init__(self, model: "Model", *, trajectory: Trajectory, spend: Spend) -> None:
        self._model = model
        self._trajectory = trajectory
        self._spend = spend

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
        began = time.monotonic()
        completion = self._model.complete(messages, tools=tools, sampling=sampling or Sampling())
        usage = completion.usage
        self._spend.add(
            tokens=(usage.prompt_tokens or 0) + (usage.completion_tokens or 0),
            cost_usd=usage.cost_usd,
        )
        self._trajectory.append_messages(
            [completion.as_message()],
            parent=asked,
            data={
                "model": self._model.name,
                "wall_s": round(time.monotonic() - began, 4),
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cost_usd": usage.cost_usd,
                "finish_reason": completion.finish_reason,
                **_tokens(completion),
            },
        )
        return completion

    def close(self) -> None:
        """Close the model."""
        self._model.close()


def _tokens(completion: "Completion") -> dict[str, Any]:
    """Return what training on policy needs, where the back end knows it."""
    found = {
        "prompt_token_ids": completion.prompt_token_ids,
        "token_ids": completion.token_ids,
        "logprobs": completion.logprobs,
        "reasoning": completion.reasoning,
    }
    return {name: value for name, value in found.items() if value is not None}


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
