"""Conversations to tokens, and which of them the assistant wrote."""
# transformers annotates its tokenizers in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from agentbench_irl.errors import DataError

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A conversation as tokens.

    Attributes:
        tokens: Token ids.
        scored: Which of them the assistant wrote, its end-of-turn token included.
        acts_next: The assistant would write the token after the last.
    """

    tokens: list[int]
    scored: list[bool]
    acts_next: bool


def assistant_tokens(
    example: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    *,
    assistant_only: bool,
    truncated: bool,
) -> Chat:
    """Return a conversation as tokens.

    A template that marks the assistant's words with `{% generation %}` is taken at its word. With
    any other, the words of a turn are what the template adds to the conversation before it; that
    needs a template that only ever appends.

    Args:
        example: `messages`, or `prompt` and `completion` as messages; `tools` where there are any,
            as a list or as JSON text.
        tokenizer: A fast one, with a chat template.
        assistant_only: Score the assistant's words; else every token.
        truncated: The conversation was stopped: an assistant's last message was cut short, or the
            assistant was about to answer.

    Returns:
        Tokens and marks.

    Raises:
        DataError: A message is malformed, or the template does not fit.
    """
    messages, first = _messages(example)
    if tokenizer.chat_template is None:
        msg = "the tokenizer has no chat template; set chat_template_path"
        raise DataError(msg)
    open_end = truncated and messages[-1]["role"] == "assistant"
    asks = truncated and not open_end
    tools = _tools(example)
    full = _render(tokenizer, messages, tools, ask=asks, open_end=open_end)
    marks = _marked(tokenizer, messages, tools) if first == 0 and not truncated else None
    if marks is not None:
        tokens, scored = marks
    else:
        encoded = tokenizer(
            full, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        tokens = list(cast("list[int]", encoded["input_ids"]))
        starts = [start for start, _ in cast("list[tuple[int, int]]", encoded["offset_mapping"])]
        spans = _spans(tokenizer, messages, tools, full, first=first)
        scored = [any(begin <= start < end for begin, end in spans) for start in starts]
        scored = _up_to_end_of_turn(tokens, scored, end_token(tokenizer))
    if not assistant_only:
        scored = [True] * len(tokens)
    return Chat(tokens=tokens, scored=scored, acts_next=truncated)


def end_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the token that ends a text or a turn, if there is one."""
    end: Any = tokenizer.eos_token_id
    return None if end is None else int(end)


def _messages(example: Mapping[str, Any]) -> tuple[list[Message], int]:
    """Return all messages, and the index of the first whose words may be scored."""
    prompt = example["prompt"] if "messages" not in example else []
    completion = example.get("messages", example.get("completion"))
    if not isinstance(prompt, list) or not isinstance(completion, list) or not completion:
        msg = "messages, or prompt and completion, must be lists of messages"
        raise DataError(msg)
    messages = cast("list[object]", prompt + completion)
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(
            cast("Message", message).get("role"), str
        ):
            msg = f"message {number} must be an object with a role, not {str(message)[:60]!r}"
            raise DataError(msg)
    return cast("list[Message]", messages), len(cast("list[object]", prompt))


def _marked(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], tools: list[Any] | None
) -> tuple[list[int], list[bool]] | None:
    if "{% generation" not in str(tokenizer.chat_template).replace("{%-", "{%"):
        return None
    rendered = tokenizer.apply_chat_template(
        cast("Any", list(messages)),
        tools=cast("Any", tools),
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    columns = cast("dict[str, list[int]]", rendered)
    return list(columns["input_ids"]), [bool(mark) for mark in columns["assistant_masks"]]


def _tools(example: Mapping[str, Any]) -> list[Any] | None:
    found = example.get("tools")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError as error:
            msg = f"tools are not JSON: {found[:80]!r}"
            raise DataError(msg) from error
    return cast("list[Any] | None", found or None)


def _render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    tools: list[Any] | None,
    *,
    ask: bool,
    open_end: bool = False,
) -> str:
    try:
        text = tokenizer.apply_chat_template(
            cast("Any", list(messages)),
            tools=cast("Any", tools),
            tokenize=False,
            add_generation_prompt=ask,
            continue_final_message=open_end,
        )
    except Exception as error:
        # a chat template is a program that comes with the tokenizer: it may raise anything
        msg = f"the chat template refuses the messages: {error}"
        raise DataError(msg) from error
    return cast("str", text)


def _spans(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    tools: list[Any] | None,
    full: str,
    *,
    first: int,
) -> list[tuple[int, int]]:
    """Return where in the text each of the assistant's turns begins and ends, in characters."""
    spans = list[tuple[int, int]]()
    for number in range(first, len(messages)):
        if messages[number]["role"] != "assistant":
            continue
        last = number == len(messages) - 1
        before = _render(tokenizer, messages[:number], tools, ask=True) if number else ""
        after = full if last else _render(tokenizer, messages[: number + 1], tools, ask=False)
        if not (after.startswith(before) and full.startswith(after)):
            msg = (
                f"the chat template rewrites what comes before message {number}, so the "
                "assistant's words cannot be told apart; mark them with {% generation %} in a "
                "template and set chat_template_path"
            )
            raise DataError(msg)
        spans.append((len(before), len(after)))
    return spans


def _up_to_end_of_turn(tokens: list[int], scored: list[bool], end: int | None) -> list[bool]:
    """Stop each run of scored tokens after its last end-of-turn token, if it has one."""
    kept, position = list(scored), 0
    while position < len(tokens):
        if not scored[position]:
            position += 1
            continue
        stop = position
        while stop < len(tokens) and scored[stop]:
            stop += 1
        ends = [at for at in range(position, stop) if tokens[at] == end]
        if ends:
            kept[ends[-1] + 1 : stop] = [False] * (stop - ends[-1] - 1)
        position = stop
    return kept
