"""MLAB, the research agent of MLAgentBench, with MLRC-Bench's actions (arXiv 2310.03302).

A turn is six fields: Reflection, Research Plan and Status, Fact Check, Thought, Action, Action
Input. The model sees the problem, its research log and its last few turns. With `tools=True` the
same actions are native tool calls. What cannot be read is repaired a bounded number of times.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agentbench_agents.actions import Action, Submit
from agentbench_agents.errors import AgentParameterError
from agentbench_agents.models import Sampling
from agentbench_agents.research_actions import (
    AppendFile,
    CopyFile,
    ListFiles,
    ReadFile,
    RunDev,
    RunScript,
    WriteFile,
)

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Completion, Message, Model, ToolSchema

FIELDS = (
    "Reflection",
    "Research Plan and Status",
    "Fact Check",
    "Thought",
    "Action",
    "Action Input",
)
_FIELD = re.compile(rf"^[ \t]*\**({'|'.join(FIELDS)})\**[ \t]*:\**[ \t]*", re.MULTILINE)
_FENCE = re.compile(r"\A```(?:\w+)?\n(.*?)\n?```\s*\Z", re.DOTALL)
_NUMBER = re.compile(r"^\d+\t", re.MULTILINE)
_BLOCK, _SEEN = 10_000, 5000

ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "List Files": ("dir_path",),
        "Read File": ("file_name",),
        "Write File": ("file_name", "content"),
        "Append File": ("file_name", "content"),
        "Copy File": ("source", "destination"),
        "Inspect Script Lines": ("script_name", "start_line_number", "end_line_number"),
        "Edit Script (AI)": ("script_name", "edit_instruction", "save_name"),
        "Undo Edit Script": ("script_name",),
        "Execute Script": ("script_name",),
        "Understand File": ("file_name", "things_to_look_for"),
        "Append to Research Log": ("content",),
        "Retrieval from Research Log": ("current_plan",),
        "Evaluate Method": ("method_name",),
        "Final Answer": ("final_solution",),
    }
)
"""Names of actions and of the entries of their input, all required."""


class ResponseError(ValueError):
    """An answer that is not in the form asked for; the message is fed back to the model."""


@dataclass(frozen=True, slots=True)
class Response:
    """A turn of the model.

    Attributes:
        fields: The six fields; empty text for those that tool calls do not have.
        action: A key of `ACTIONS`.
        arguments: Its input.
    """

    fields: Mapping[str, str]
    action: str
    arguments: Mapping[str, Any]


def parse_response(text: str) -> Response:
    """Read the six fields; the last occurrence of each counts from its heading to the next.

    Raises:
        ResponseError: A field is missing or out of order, or action or input are not known.
    """
    found = list(_FIELD.finditer(text))
    names = [match[1] for match in found]
    if names != list(FIELDS):
        raise ResponseError(f"expected the fields {', '.join(FIELDS)}, each once and in this order")
    ends = [match.start() for match in found[1:]] + [len(text)]
    fields = {m[1]: text[m.end() : end].strip() for m, end in zip(found, ends, strict=True)}
    return Response(fields, *_checked(fields["Action"].strip("*` "), fields["Action Input"]))


def _checked(action: str, raw: str) -> tuple[str, Mapping[str, Any]]:
    if action not in ACTIONS:
        raise ResponseError(f"unknown action {action[:60]!r}; there are: {', '.join(ACTIONS)}")
    fenced = _FENCE.match(raw.strip())
    try:
        arguments = json.loads(fenced[1] if fenced else raw, strict=False)
    except (ValueError, RecursionError) as error:
        raise ResponseError(f"Action Input of {action} is no JSON object: {error}") from error
    wanted = set(ACTIONS[action])
    if not isinstance(arguments, dict) or set(arguments) != wanted:  # pyright: ignore[reportUnknownArgumentType]
        raise ResponseError(
            f"Action Input of {action} has the entries {', '.join(ACTIONS[action])}"
        )
    return action, arguments  # pyright: ignore[reportUnknownVariableType]


def tool_schemas() -> "list[ToolSchema]":
    """Return the actions as native tools; names have underscores for what tools cannot hold."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool_name(name),
                "description": name,
                "parameters": {
                    "type": "object",
                    "properties": {
                        e: {"type": "integer" if e.endswith("_number") else "string"}
                        for e in entries
                    },
                    "required": list(entries),
                    "additionalProperties": False,
                },
            },
        }
        for name, entries in ACTIONS.items()
    ]


def tool_name(action: str) -> str:
    """Return the name of an action as a tool: `Edit Script (AI)` is `edit_script_ai`."""
    return re.sub(r"\W+", "_", action.lower()).strip("_")


@dataclass(frozen=True, slots=True, kw_only=True)
class MLABAgent:
    """Research-log ReAct agent.

    Attributes:
        idea: An idea to carry out, or nothing.
        background: Whether the task's background is told.
        tools: Native tool calls in place of the six fields.
        repairs: How often the model may mend an answer that cannot be read.
        history: How many of the latest turns the model sees.
        temperature: Sampling temperature, or that of the server.
        max_tokens: Longest answer, in tokens.
    """

    idea: str = ""
    background: bool = True
    tools: bool = False
    repairs: int = 5
    history: int = 3
    temperature: float | None = 0.5
    max_tokens: int = 8192

    def __post_init__(self) -> None:
        if self.repairs < 0 or self.history < 1:
            raise ValueError(
                f"repairs must be >= 0 and history >= 1, not {self.repairs} and {self.history}"
            )

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Act until the episode is over; turns that cost no step are bounded too.

        Raises:
            AgentParameterError: The task is no research task.
        """
        if not env.is_research:
            raise AgentParameterError(
                f"agent 'mlab' works on research tasks, not {env.task.name!r}"
            )
        session = _Session(agent=self, env=env, model=model)
        for _ in range(3 * env.budget.steps):
            if env.over or not session.turn():
                return


@dataclass(slots=True)
class _Session:
    """One run: the research log, backups for undo, and the turns so far."""

    agent: MLABAgent
    env: "TaskEnv"
    model: "Model"
    log: list[str] = field(default_factory=list[str])
    backups: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    turns: "list[tuple[Message, str]]" = field(default_factory=list["tuple[Message, str]"])

    def turn(self) -> bool:
        """Take one turn; False when the model gave nothing readable after all repairs."""
        response, message = self._ask()
        if response is None:
            self.env.trajectory.append("note", {"mlab": "no readable answer after all repairs"})
            return False
        observation = _shorten(str(self._do(response)))
        self.turns.append((message, observation))
        return True

    def _ask(self) -> "tuple[Response | None, Message]":
        messages = self._messages()
        completion = self._complete(messages)
        for attempt in range(self.agent.repairs + 1):
            try:
                return self._parse(completion), self._plain(completion)
            except ResponseError as error:
                if attempt == self.agent.repairs:
                    break
                wrong: Message = {"role": "user", "content": f"Your answer was not read: {error}."}
                messages += [self._plain(completion), wrong]
                completion = self._complete(messages)
        return None, self._plain(completion)

    def _parse(self, completion: "Completion") -> Response:
        if not self.agent.tools:
            return parse_response(completion.text)
        if not completion.tool_calls:
            raise ResponseError("call one of the tools")
        call = completion.tool_calls[0]
        action = next((a for a in ACTIONS if tool_name(a) == call.name), call.name)
        return Response({}, *_checked(action, call.arguments or "{}"))

    def _plain(self, completion: "Completion") -> "Message":
        """Return the turn as text: a call whose answer is cut from history breaks protocols."""
        calls = "\n".join(f"{c.name}({c.arguments})" for c in completion.tool_calls[:1])
        text = f"{completion.text}\n{calls}".strip() or "(nothing)"
        return {"role": "assistant", "content": text}

    def _complete(self, messages: "list[Message]") -> "Completion":
        sampling = Sampling(temperature=self.agent.temperature, max_tokens=self.agent.max_tokens)
        tools = tool_schemas() if self.agent.tools else ()
        return self.model.complete(messages, tools=tools, sampling=sampling)

    def _ask_plainly(self, question: str) -> str:
        sampling = Sampling(temperature=0.0, max_tokens=self.agent.max_tokens)
        return self.model.complete([{"role": "user", "content": question}], sampling=sampling).text

    def _messages(self) -> "list[Message]":
        messages: list[Message] = [
            {"role": "system", "content": system_prompt(self.agent, self.env)},
            {"role": "user", "content": self._opening()},
        ]
        for said, seen in self.turns[-self.agent.history :]:
            answer: Message = {"role": "user", "content": f"Observation:\n{seen}"}
            messages += [said, answer]
        return messages

    def _opening(self) -> str:
        log = "\n".join(f"- {entry}" for entry in self.log[-20:]) or "(empty)"
        left = self.env.budget.steps - self.env.spend.steps
        return f"Research log:\n{_shorten(log)}\n\nSteps left: {left}. Begin or go on."

    # -- actions --------------------------------------------------------------------------------

    def _do(self, response: Response) -> str:
        perform: Callable[..., str] = getattr(self, f"_{tool_name(response.action)}")
        return perform(**response.arguments)

    def _step(self, kind: type[Action], **fields: Any) -> str:  # noqa: ANN401
        """Take a step in the environment, which says itself what is wrong with the fields."""
        if self.env.over:
            return "The run is over."
        text = json.dumps({"action": kind.name, "params": fields})
        return str(self.env.step(text)[0]["text"])

    def _content(self, name: str) -> str | None:
        """Return a script of at most 400 lines, None if it cannot be read."""
        text = self._step(ReadFile, path=name, last=400)
        head, _, body = text.partition("\n")
        return _NUMBER.sub("", body) if head.startswith(f"{name}, lines 1 to") else None

    def _list_files(self, dir_path: str) -> str:
        return self._step(ListFiles, path=dir_path)

    def _read_file(self, file_name: str) -> str:
        return self._step(ReadFile, path=file_name)

    def _inspect_script_lines(
        self, script_name: str, start_line_number: int, end_line_number: int
    ) -> str:
        return self._step(ReadFile, path=script_name, first=start_line_number, last=end_line_number)

    def _write_file(self, file_name: str, content: str) -> str:
        return self._step(WriteFile, path=file_name, content=content)

    def _append_file(self, file_name: str, content: str) -> str:
        return self._step(AppendFile, path=file_name, content=content)

    def _copy_file(self, source: str, destination: str) -> str:
        return self._step(CopyFile, source=source, destination=destination)

    def _edit_script_ai(self, script_name: str, edit_instruction: str, save_name: str) -> str:
        old = self._content(script_name)
        if old is None:
            return f"{script_name} cannot be read; write it first."
        answer = self._ask_plainly(
            "Edit this Python script as asked. Answer with the whole new script in one block of "
            f"code and nothing else.\n\nInstruction: {edit_instruction}\n\n```python\n{old}\n```"
        )
        block = re.search(r"```(?:python)?\n(.*?)```", answer, re.DOTALL)
        if block is None:
            return "The edit gave no block of code; nothing was changed."
        self.backups.setdefault(save_name, []).append(old)
        return self._step(WriteFile, path=save_name, content=block[1])

    def _undo_edit_script(self, script_name: str) -> str:
        if not self.backups.get(script_name):
            return f"There is no edit of {script_name} to undo."
        return self._step(WriteFile, path=script_name, content=self.backups[script_name].pop())

    def _execute_script(self, script_name: str) -> str:
        name, *arguments = str(script_name).removeprefix("python ").split() or [""]
        return self._step(RunScript, path=name, arguments=arguments)

    def _understand_file(self, file_name: str, things_to_look_for: str) -> str:
        text = self._step(ReadFile, path=file_name, last=400)
        blocks = [text[i : i + _BLOCK] for i in range(0, len(text), _BLOCK)]
        parts = [
            self._ask_plainly(
                f"Say what this part of {file_name} tells about: {things_to_look_for}\n\n{b}"
            )
            for b in blocks
        ]
        if len(parts) == 1:
            return parts[0]
        return self._ask_plainly("Put these notes on one file together:\n\n" + "\n\n".join(parts))

    def _append_to_research_log(self, content: str) -> str:
        self.log.append(str(content))
        self.env.trajectory.append("note", {"research_log": str(content)})
        return "It is in the research log."

    def _retrieval_from_research_log(self, current_plan: str) -> str:
        if not self.log:
            return "The research log is empty."
        return self._ask_plainly(
            "From this research log, say what matters for the plan.\n\n"
            f"Plan: {current_plan}\n\nLog:\n" + "\n".join(self.log)
        )

    def _evaluate_method(self, method_name: str) -> str:
        return self._step(RunDev, method=method_name)

    def _final_answer(self, final_solution: str) -> str:
        self.env.trajectory.append("note", {"final_answer": str(final_solution)})
        return self._step(Submit)


def system_prompt(agent: MLABAgent, env: "TaskEnv") -> str:
    """Return what the model is told of problem, idea, actions and form."""
    here = files("agentbench_agents.agents")
    actions = "\n".join(f"- {name}: {{{', '.join(e)}}}" for name, e in ACTIONS.items())
    known: str = getattr(env.task, "background", "")
    background = f"\nBackground:\n{known}\n" if agent.background and known else ""
    idea = f"\nCarry out this idea:\n{agent.idea}\n" if agent.idea else ""
    text = here.joinpath("mlab_system.txt").read_text("utf-8")
    if not agent.tools:
        text += here.joinpath("mlab_format.txt").read_text("utf-8")
    values = {
        "{problem}": env.task.description,
        "{background}": background,
        "{idea}": idea,
        "{steps}": str(env.budget.steps),
        "{actions}": actions,
    }
    return re.sub("|".join(map(re.escape, values)), lambda match: values[match[0]], text)


def _shorten(text: str) -> str:
    if len(text) <= _SEEN:
        return text
    return f"{text[: _SEEN // 2]}\n[... {len(text) - _SEEN} characters ...]\n{text[-_SEEN // 2 :]}"
