"""Keeping a conversation inside the model's window.

Three measures, from cheap to dear: cut the middle out of a long output, drop old outputs of tools,
have the model summarise. None changes the messages that it is given: the result is a new list
together with the length of the prefix that it shares with the old one, which is where a trajectory
branches. What was left out stays on the old branch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from agentbench_agents.models.errors import ContextLengthError
from agentbench_agents.models.model import Completion, Message, Model, ToolSchema
from agentbench_agents.models.tokens import estimate_tokens

Measure = Literal["drop tool outputs", "summarise"]

_SHORTEST = 200  # characters to which messages are cut at the most to summarise them
_DROPPED = "[output dropped to save space]"
_RESUME = "Summary of the conversation so far:\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """A conversation that fits.

    Attributes:
        messages: What to send.
        shared: How many leading messages are those of the conversation given; a trajectory
            branches after them. Equal to the length of ``messages`` when nothing was done.
        measures: What was done.
        tokens_before: Estimate for the conversation given.
        tokens_after: Estimate for ``messages``.
        summary: The completion that summarised, whose usage counts too.
    """

    messages: tuple[Message, ...]
    shared: int
    measures: tuple[Measure, ...]
    tokens_before: int
    tokens_after: int
    summary: Completion | None = None


def trim_output(text: str, limit: int) -> str:
    """Cut the middle out of an output so that ``limit`` characters of it are left.

    Three quarters of what stays is the end: that is where errors and results are.

    Args:
        text: What a command printed.
        limit: Characters to keep; the note in between comes on top.
    """
    if len(text) <= limit:
        return text
    tail = limit * 3 // 4
    head = limit - tail
    cut = len(text) - limit
    return f"{text[:head]}\n[... {cut} characters cut ...]\n{text[len(text) - tail :]}"


def drop_tool_outputs(messages: Sequence[Message], *, keep: int) -> tuple[Message, ...]:
    """Replace the outputs of tools by a note, except the last ``keep``.

    The messages stay: providers want an answer to every call.
    """
    outputs = [i for i, message in enumerate(messages) if message["role"] == "tool"]
    old = set(outputs[: len(outputs) - keep])
    return tuple(
        {**message, "content": _DROPPED}
        if i in old and len(message["content"]) > len(_DROPPED)
        else message
        for i, message in enumerate(messages)
    )


def fit(
    messages: Sequence[Message],
    *,
    model: Model,
    window: int,
    tools: Sequence[ToolSchema] = (),
    reserve: int = 0,
    threshold: float = 0.9,
    keep_outputs: int = 3,
    keep_last: int = 4,
    scale: float = 1.0,
) -> Compaction:
    """Make a conversation fit the window, if it takes more than ``threshold`` of it.

    First all but the last ``keep_outputs`` tool outputs are dropped. If that is not enough, the
    model summarises everything between the opening (system messages and the first user message)
    and the last few messages.

    Args:
        messages: The conversation.
        model: Writes the summary.
        window: The model's window in tokens.
        tools: Functions that are offered; they take room too.
        reserve: Tokens to leave for the answer.
        threshold: The part of the window that may be used, in (0, 1].
        keep_outputs: Tool outputs to keep.
        keep_last: The most messages to keep behind a summary; fewer where they take more than half
            of the room, more where calls and their outputs belong together.
        scale: Tokens that the provider counted for an earlier request of this conversation, divided
            by `estimate_tokens` of it.

    Raises:
        ContextLengthError: Opening and summary alone do not fit.
        ModelError: The summary could not be had.
    """
    most = window * threshold - reserve

    def size(candidate: Sequence[Message]) -> int:
        return int(estimate_tokens(candidate, tools=tools) * scale)

    if size(messages) <= most:
        return _compaction(messages, tuple(messages), size=size)
    dropped = drop_tool_outputs(messages, keep=keep_outputs)
    if size(dropped) <= most:
        return _compaction(messages, dropped, size=size, measures=("drop tool outputs",))
    opening, middle, last = _split(dropped, keep_last, lambda part: size(part) <= most / 2)
    summary = model.complete(_summary_request(opening, middle, lambda part: size(part) <= most))
    note: Message = {"role": "user", "content": _RESUME + (summary.text or "(none was given)")}
    fitted = (*opening, note, *last)
    if (after := size(fitted)) > window - reserve:
        raise ContextLengthError(
            f"the conversation takes some {after} of {window} tokens even after a summary: "
            "use a model with a larger window or a shorter task"
        )
    done: tuple[Measure, ...] = ("drop tool outputs", "summarise")
    return _compaction(messages, fitted, size=size, measures=done, summary=summary)


_Turns = tuple[Message, ...]
_Fits = Callable[[Sequence[Message]], bool]


def _split(messages: _Turns, keep_last: int, fits: _Fits) -> tuple[_Turns, _Turns, _Turns]:
    """Opening, middle and last messages; a tool's output never parts from its call."""
    first_user = next((i for i, m in enumerate(messages) if m["role"] == "user"), -1)
    begin = first_user + 1
    opening = messages[:begin]
    for start in range(max(begin, len(messages) - keep_last), len(messages) + 1):
        cut = start
        while cut > begin and cut < len(messages) and messages[cut]["role"] == "tool":
            cut -= 1
        if fits((*opening, *messages[cut:])):
            return opening, messages[begin:cut], messages[cut:]
    return opening, messages[begin:], ()


def _summary_request(opening: _Turns, middle: _Turns, fits: _Fits) -> _Turns:
    """The middle as one plain text, so that no provider wants tools or answered calls with it."""
    system = tuple(m for m in opening if m["role"] == "system")
    spoken = [m for m in (*opening, *middle) if m["role"] != "system"]
    task = files("agentbench_agents.models").joinpath("summarise.txt").read_text(encoding="utf-8")
    limit = max((len(m["content"]) for m in spoken), default=0)
    while True:
        text = "\n\n".join(_as_text(m, limit) for m in spoken)
        request: _Turns = (*system, {"role": "user", "content": f"{text}\n\n---\n{task}"})
        if fits(request) or limit < _SHORTEST:
            return request
        limit //= 2


def _as_text(message: Message, limit: int) -> str:
    calls = "".join(
        f"\n{call['function']['name']}({trim_output(call['function']['arguments'], limit)})"
        for call in message.get("tool_calls", ())
    )
    return f"[{message['role']}]\n{trim_output(message['content'], limit)}{calls}"


def _compaction(
    old: Sequence[Message],
    new: _Turns,
    *,
    size: Callable[[Sequence[Message]], int],
    measures: tuple[Measure, ...] = (),
    summary: Completion | None = None,
) -> Compaction:
    shared = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(new))
    return Compaction(
        messages=new,
        shared=shared,
        measures=measures,
        tokens_before=size(old),
        tokens_after=size(new),
        summary=summary,
    )
