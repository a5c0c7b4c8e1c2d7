"""Anthropic's Messages API on the wire, and what we make of it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from pydantic import BaseModel, Field

from agentbench_agents.models.http import StreamCutError, StreamFailedError, validated
from agentbench_agents.models.model import (
    Completion,
    Message,
    ToolCall,
    ToolCallDict,
    ToolSchema,
    Usage,
)

Block = dict[str, object]

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STATUS_OF_ERROR = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}


def to_turns(messages: Sequence[Message]) -> tuple[str, list[Block]]:
    """Turn a conversation into a system prompt and alternating turns.

    System messages at the start become the system prompt; a later one is said by the user. Results
    of tools belong into the user turn that follows the calls. The API refuses empty text: an empty
    turn reads ``(empty)``.

    Returns:
        The system prompt, which may be empty, and the turns.
    """
    first = next((i for i, m in enumerate(messages) if m["role"] != "system"), len(messages))
    turns: list[Block] = []
    for message in messages[first:]:
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            cast("list[Block]", turns[-1]["content"]).extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        turn["content"] = turn["content"] or [{"type": "text", "text": "(empty)"}]
    return "\n\n".join(message["content"] for message in messages[:first]), turns


def _blocks(message: Message) -> list[Block]:
    content = message["content"]
    if message["role"] == "tool":
        called = message.get("tool_call_id", "")
        return [{"type": "tool_result", "tool_use_id": called, "content": content or "(empty)"}]
    text: list[Block] = [{"type": "text", "text": content}] if content.strip() else []
    return text + [_tool_use(call) for call in message.get("tool_calls", ())]


def _tool_use(call: ToolCallDict) -> Block:
    """Their arguments are an object; text that is none goes under one key, as it was written."""
    arguments = call["function"]["arguments"]
    try:
        parsed: object = json.loads(arguments)
    except ValueError:
        parsed = None
    value: object = parsed if isinstance(parsed, dict) else {"arguments": arguments}  # pyright: ignore[reportUnknownVariableType] - any JSON
    return {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": value}


def to_tools(tools: Sequence[ToolSchema]) -> list[Block]:
    """Tools in their shape."""
    return [
        {
            "name": tool["function"]["name"],
            "description": tool["function"]["description"],
            "input_schema": tool["function"]["parameters"],
        }
        for tool in tools
    ]


class _Usage(BaseModel):
    input_tokens: int | None = Field(default=None, ge=0)
    output_tokens: int | None = Field(default=None, ge=0)
    cache_creation_input_tokens: int | None = Field(default=None, ge=0)
    cache_read_input_tokens: int | None = Field(default=None, ge=0)


class _Start(BaseModel):
    usage: _Usage = _Usage()


class _Block(BaseModel):
    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""


class _Delta(BaseModel):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(BaseModel):
    type: str
    index: int = 0
    message: _Start | None = None
    content_block: _Block | None = None
    delta: _Delta = _Delta()
    usage: _Usage | None = None
    error: Any = None


def parse_stream(events: Iterable[bytes]) -> Completion:
    """Put the events of a streamed answer together.

    Raises:
        NotACompletionError: An event is not one of the protocol.
        StreamCutError: The stream ended too early.
        StreamFailedError: The server reported an error inside the stream.
    """
    blocks: dict[int, _Block] = {}
    arguments: dict[int, str] = {}
    usage = _Usage()
    stop_reason: str | None = None
    complete = False
    for raw in events:
        event = validated(_Event, raw)
        if event.type == "error":
            raise _stream_error(event.error)
        if event.content_block:
            blocks[event.index] = event.content_block
        if event.type == "content_block_delta" and event.index in blocks:
            blocks[event.index].text += event.delta.text
            blocks[event.index].thinking += event.delta.thinking
            arguments[event.index] = arguments.get(event.index, "") + event.delta.partial_json
        news = event.message.usage if event.message else event.usage
        usage = usage.model_copy(update=news.model_dump(exclude_none=True)) if news else usage
        stop_reason = event.delta.stop_reason or stop_reason
        complete = complete or event.type == "message_stop"
    if not complete:
        raise StreamCutError("the stream ended without message_stop")
    ordered = sorted(blocks.items())
    return Completion(
        text="".join(block.text for _, block in ordered if block.type == "text"),
        tool_calls=tuple(
            ToolCall(id=block.id, name=block.name, arguments=arguments.get(index) or "{}")
            for index, block in ordered
            if block.type == "tool_use"
        ),
        usage=_usage(usage),
        reasoning="".join(block.thinking for _, block in ordered) or None,
        finish_reason=_FINISH_REASONS.get(stop_reason or "", stop_reason),
    )


def _usage(usage: _Usage) -> Usage:
    """Their ``input_tokens`` leave out what was read from or written to the cache; ours do not."""
    read = usage.cache_read_input_tokens
    prompt = usage.input_tokens
    if prompt is not None:
        prompt += (read or 0) + (usage.cache_creation_input_tokens or 0)
    return Usage(prompt_tokens=prompt, completion_tokens=usage.output_tokens, cached_tokens=read)


def _stream_error(error: object) -> StreamFailedError:
    kind = cast("dict[str, object]", error).get("type") if isinstance(error, dict) else None
    return StreamFailedError(json.dumps({"error": error}), _STATUS_OF_ERROR.get(str(kind), 500))
