"""The other side of chat completions: requests of a foreign client, answered by one of our models.

Knows the endpoints `chat/completions` (whole or as a stream) and `models` of OpenAI's protocol.
"""

import json
import time
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agentbench_agents.models.model import Completion, Message, Model, Sampling, ToolSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        kind: Content type.
        body: Text of the body.
    """

    status: int
    kind: str
    body: str


class _Part(BaseModel):
    type: str
    text: str = ""


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    def to_message(self) -> Message:
        content = self.content or ""
        if not isinstance(content, str):
            content = "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        message: Message = {"role": role, "content": content}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls  # type: ignore[typeddict-item] - as it was sent
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        return message


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore")

    messages: list[_Message]
    tools: list[dict[str, Any]] = []
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None


def answer(model: Model, *, path: str, body: str) -> Answer:
    """Answer one request; what a client does wrong is status 400 or 404, never an exception.

    Args:
        model: What answers.
        path: Path of the request; only its end counts.
        body: Body of the request, JSON text.

    Raises:
        ModelError: The model failed.
        BudgetExceededError: A recorded model's budget is spent.
    """
    if path.rstrip("/").endswith("/models"):
        listed = {"id": model.name, "object": "model", "created": 0, "owned_by": "agentbench"}
        return _json(200, {"object": "list", "data": [listed]})
    if not path.split("?", maxsplit=1)[0].endswith("/chat/completions"):
        return error(404, f"there is no {path}; there are chat/completions and models")
    try:
        request = _Request.model_validate_json(body)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return error(400, f"{where}: {first['msg']}")
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    tools: list[Any] = [t for t in request.tools if t.get("type") == "function"]
    offered: list[ToolSchema] = tools
    completion = model.complete(
        [message.to_message() for message in request.messages],
        tools=offered,
        sampling=Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_completion_tokens or request.max_tokens,
            seed=request.seed,
            stop=stop,
        ),
    )
    return _streamed(model, completion) if request.stream else _whole(model, completion)


def error(status: int, message: str) -> Answer:
    """Return an error in the protocol's form."""
    return _json(status, {"error": {"message": message, "type": "invalid_request_error"}})


def _whole(model: Model, completion: Completion) -> Answer:
    message = completion.as_message()
    choice = {"index": 0, "message": message, "finish_reason": _reason(completion)}
    return _json(
        200, {**_head(model, "chat.completion"), "choices": [choice], "usage": _usage(completion)}
    )


def _streamed(model: Model, completion: Completion) -> Answer:
    """The whole answer as a stream of two chunks: clients that stream want the form of one."""
    head = _head(model, "chat.completion.chunk")
    delta: dict[str, Any] = dict(completion.as_message())
    for i, call in enumerate(delta.get("tool_calls", ())):
        call["index"] = i
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {
            **head,
            "choices": [{"index": 0, "delta": {}, "finish_reason": _reason(completion)}],
            "usage": _usage(completion),
        },
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return Answer(status=200, kind="text/event-stream", body=body)


def _head(model: Model, kind: str) -> dict[str, Any]:
    now = int(time.time())
    return {"id": f"chatcmpl-{now}", "object": kind, "created": now, "model": model.name}


def _reason(completion: Completion) -> str:
    return completion.finish_reason or ("tool_calls" if completion.tool_calls else "stop")


def _usage(completion: Completion) -> dict[str, int]:
    read = completion.usage.prompt_tokens or 0
    written = completion.usage.completion_tokens or 0
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def _json(status: int, data: dict[str, Any]) -> Answer:
    return Answer(status=status, kind="application/json", body=json.dumps(data))
