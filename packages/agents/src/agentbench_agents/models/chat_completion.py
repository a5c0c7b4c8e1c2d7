"""OpenAI's chat completion on the wire, whole or streamed, and what we make of it."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field, field_validator

from agentbench_agents.models.http import StreamCutError, StreamFailedError, validated
from agentbench_agents.models.model import Completion, ToolCall, Usage


class _Function(BaseModel):
    name: str = ""
    arguments: str = ""

    @field_validator("arguments", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Some servers send the parsed object, some ``null``."""
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    @field_validator("name", mode="before")
    @classmethod
    def _as_name(cls, value: object) -> object:
        """Streams repeat the name as ``null``."""
        return "" if value is None else value


class _ToolCall(BaseModel):
    id: str | None = None
    index: int | None = None
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _TokenLogprob(BaseModel):
    logprob: float


class _Logprobs(BaseModel):
    content: list[_TokenLogprob] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    token_ids: list[int] | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    prompt_tokens_details: _PromptDetails | None = None


class _Body(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    prompt_token_ids: list[int] | None = None


class _ChunkChoice(BaseModel):
    delta: _Message = _Message()
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    token_ids: list[int] | None = None


class _Chunk(BaseModel):
    choices: list[_ChunkChoice] = []
    usage: _Usage | None = None
    prompt_token_ids: list[int] | None = None
    error: Any = None


def parse(body: bytes) -> Completion:
    """Read a whole answer.

    Raises:
        NotACompletionError: It is not a chat completion.
    """
    return _completion(validated(_Body, body))


def parse_stream(events: Iterable[bytes]) -> Completion:
    """Put the events of a streamed answer together; the result equals that of `parse`.

    Raises:
        NotACompletionError: An event is not a chunk of a chat completion.
        StreamCutError: The stream ended too early.
        StreamFailedError: The server reported an error inside the stream.
    """
    whole = _Body(choices=[_Choice(message=_Message())])
    for event in events:
        if event == b"[DONE]":
            break
        chunk = validated(_Chunk, event)
        if chunk.error:
            raise StreamFailedError(json.dumps({"error": chunk.error}))
        whole.usage = chunk.usage or whole.usage
        whole.prompt_token_ids = chunk.prompt_token_ids or whole.prompt_token_ids
        if chunk.choices:
            _append(whole.choices[0], chunk.choices[0])
    if whole.choices[0].finish_reason is None:
        raise StreamCutError("the stream ended without a finish reason")
    return _completion(whole)


def _append(choice: _Choice, piece: _ChunkChoice) -> None:
    message, delta = choice.message, piece.delta
    for field in ("content", "refusal", "reasoning_content", "reasoning"):
        if (text := getattr(delta, field)) is not None:
            setattr(message, field, (getattr(message, field) or "") + text)
    for call in delta.tool_calls or ():
        _append_call(message, call)
    if piece.logprobs and piece.logprobs.content:
        choice.logprobs = choice.logprobs or _Logprobs(content=[])
        choice.logprobs.content = [*(choice.logprobs.content or ()), *piece.logprobs.content]
    if piece.token_ids:
        choice.token_ids = [*(choice.token_ids or ()), *piece.token_ids]
    choice.finish_reason = piece.finish_reason or choice.finish_reason


def _append_call(message: _Message, piece: _ToolCall) -> None:
    """A piece belongs to the call with its index; without an index, a new id begins a new call."""
    calls = message.tool_calls = message.tool_calls or []
    for call in calls:
        if call.index == piece.index and (piece.index is not None or piece.id in {None, call.id}):
            call.function.name += piece.function.name
            call.function.arguments += piece.function.arguments
            return
    calls.append(piece)


def _completion(body: _Body) -> Completion:
    choice = body.choices[0]
    message = choice.message
    usage = body.usage or _Usage()
    details = usage.prompt_tokens_details
    logprobs = choice.logprobs.content if choice.logprobs else None
    return Completion(
        text=message.content or message.refusal or "",
        tool_calls=tuple(
            ToolCall(
                id=call.id or f"call_{n}",
                name=call.function.name,
                arguments=call.function.arguments,
            )
            for n, call in enumerate(message.tool_calls or ())
        ),
        usage=Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=details.cached_tokens if details else None,
        ),
        reasoning=message.reasoning_content or message.reasoning,
        logprobs=None if logprobs is None else tuple(token.logprob for token in logprobs),
        token_ids=_tuple(choice.token_ids),
        prompt_token_ids=_tuple(body.prompt_token_ids),
        finish_reason=choice.finish_reason,
    )


def _tuple(tokens: list[int] | None) -> tuple[int, ...] | None:
    return None if tokens is None else tuple(tokens)
