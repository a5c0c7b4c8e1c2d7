"""ReAct: the model thinks, acts, sees what came of it, and goes on (arXiv 2210.03629).

It acts by native tool calls, one tool for each action of the environment, or, for models and
servers without them, by fenced blocks: a block of Python is run, a block of JSON is any action. The
history is linear, and whole: a run keeps what is sent within the model's window (`WindowedModel`).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from agentbench_agents.actions import ActionError, build_action, signature, tool_manifest
from agentbench_agents.models import Sampling
from agentbench_agents.search.operators import fill

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Completion, Message, Model, ToolSchema

_FENCE = re.compile(
    r"^[ \t]*```[ \t]*(python|py|json)[ \t]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class React:
    """Chats with a language model that acts in the environment.

    Attributes:
        tools: Native tool calls; without them the model writes fenced blocks.
        repairs: Answers in a row without an action after which the run ends.
        temperature: Sampling temperature, or that of the server.
        max_tokens: Longest answer, in tokens.
    """

    tools: bool = True
    repairs: int = 3
    temperature: float | None = 0.0
    max_tokens: int = 8192

    def __post_init__(self) -> None:
        if self.repairs < 0 or self.max_tokens < 1:
            raise ValueError(
                f"repairs must be >= 0 and max_tokens >= 1, not {self.repairs} and "
                f"{self.max_tokens}"
            )

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Act until the episode is over, or the model has stopped acting."""
        messages: list[Message] = [
            {"role": "system", "content": self._system(env)},
            {"role": "user", "content": str(env.observation["text"])},
        ]
        sampling = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
        tools: tuple[ToolSchema, ...] = tuple(tool_manifest(env.actions)) if self.tools else ()  # pyright: ignore[reportArgumentType,reportAssignmentType]
        idle = 0
        while not env.over and idle <= self.repairs:
            completion = model.complete(messages, tools=tools, sampling=sampling)
            messages.append(completion.as_message())
            told = list(self._act(completion, env))
            idle = 0 if told else idle + 1
            messages += told or [{"role": "user", "content": self._nudge()}]
        if not env.over:
            env.trajectory.append("note", {"react": f"no action in {idle} answers in a row"})

    def _act(self, completion: "Completion", env: "TaskEnv") -> "Iterator[Message]":
        """Take the actions of an answer and yield what came of each."""
        for call in completion.tool_calls:
            text = json.dumps({"action": call.name, "params": call.arguments or "{}"})
            yield {"role": "tool", "tool_call_id": call.id, "content": _step(env, text)}
        if not self.tools:
            told = [_step(env, text) for text in fenced_actions(completion.text, env)]
            if told:
                yield {"role": "user", "content": "\n\n".join(told)}

    def _system(self, env: "TaskEnv") -> str:
        form = "react_tools.txt" if self.tools else "react_fenced.txt"
        here = files("agentbench_agents.agents")
        values = {
            "steps": str(env.budget.steps),
            "form": here.joinpath(form).read_text("utf-8").strip(),
            "actions": "\n".join(f"- {signature(kind)}" for kind in env.actions),
        }
        text = here.joinpath("react_system.txt").read_text("utf-8")
        return fill(text.replace("{form}", values["form"]), values)

    def _nudge(self) -> str:
        how = "Call one of the tools." if self.tools else "Write a block of Python or of JSON."
        return f"There was no action in that answer. {how}"


def fenced_actions(text: str, env: "TaskEnv") -> list[str]:
    """Return the actions of an answer in the order of its blocks, as JSON texts.

    A block of Python is `execute_code`; a block of JSON is taken as it is.
    """
    found: list[str] = []
    for language, body in _FENCE.findall(text):
        if language == "json":
            found.append(body)
            continue
        try:
            action = build_action("execute_code", {"code": body}, env.actions)
        except ActionError:
            found.append(json.dumps({"action": "execute_code", "params": {}}))
        else:
            found.append(action.to_text())
    return found


def _step(env: "TaskEnv", action: str) -> str:
    if env.over:
        return "The episode is over; this was not done."
    observation = env.step(action)[0]
    return f"{observation['text']}\n\nSteps left: {int(observation['steps_left'])}."
