"""The agent of MLE-Dojo: one JSON action a turn, bounded repair, full or windowed history.

Paper: arXiv 2505.07782, section 3 and appendix G. A turn is: the model writes, the first JSON
object in what it wrote is the action; if there is none, it is asked to repair its answer up to
`repairs` times; what still cannot be read goes to the environment, which answers with what was
expected and counts the step.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from agentbench_agents.actions import ActionError, parse_action, signature, tool_manifest
from agentbench_agents.models import Sampling
from agentbench_agents.search.operators import fill

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Message, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class MLEAgent:
    """Chats with a language model about the task, one JSON action at a time.

    Attributes:
        repairs: How often the model may mend an answer without a readable action.
        history: How many of the latest turns the model sees, beside the first; None for all.
        temperature: Sampling temperature, or that of the server.
        max_tokens: Longest answer, in tokens.
    """

    repairs: int = 3
    history: int | None = None
    temperature: float | None = 0.0
    max_tokens: int = 8192

    def __post_init__(self) -> None:
        if self.repairs < 0 or (self.history is not None and self.history < 1):
            raise ValueError(
                f"repairs must be >= 0 and history >= 1, not {self.repairs} and {self.history}"
            )

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Act until the episode is over."""
        messages: list[Message] = [
            {"role": "system", "content": _prompt("mle_system.txt", env)},
            {"role": "user", "content": str(env.observation["text"])},
        ]
        while not env.over:
            action = self._next_action(messages, env, model)
            observation, _, _, _, _ = env.step(action)
            left = int(observation["steps_left"])
            messages.append(
                {"role": "user", "content": f"{observation['text']}\n\nSteps left: {left}."}
            )

    def _next_action(self, messages: "list[Message]", env: "TaskEnv", model: "Model") -> str:
        sampling = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
        text = ""
        for attempt in range(self.repairs + 1):
            completion = model.complete(self._window(messages), sampling=sampling)
            messages.append(completion.as_message())
            text = first_json_object(completion.text)
            try:
                parse_action(text, env.actions)
            except ActionError as error:
                if attempt < self.repairs:
                    messages.append({"role": "user", "content": f"I could not read that: {error}"})
            else:
                break
        return text

    def _window(self, messages: "list[Message]") -> "list[Message]":
        if self.history is None or len(messages) <= 2 + 2 * self.history:
            return messages
        return [*messages[:2], *messages[-2 * self.history :]]


def first_json_object(text: str) -> str:
    """Return the first JSON object in a text, or the text itself if it holds none."""
    decoder = json.JSONDecoder(strict=False)
    start = text.find("{")
    while start != -1:
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
        else:
            return json.dumps(found)
    return text


def _prompt(name: str, env: "TaskEnv") -> str:
    template = files("agentbench_agents.agents").joinpath(name).read_text("utf-8")
    described = "\n".join(
        f"- {signature(kind)}. {tool['function']['description']}"
        for kind, tool in zip(env.actions, tool_manifest(env.actions), strict=True)
    )
    return fill(template, {"actions": described, "steps": str(env.budget.steps)})
