"""Anthropic's models, through the official client.

Answers are always received as a stream, as Anthropic asks for long ones. `Sampling.seed` and
`Sampling.logprobs` have no counterpart in the API and are left out.
"""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from agentbench_agents.models import messages_api
from agentbench_agents.models.endpoint import Endpoint
from agentbench_agents.models.errors import ModelConfigError
from agentbench_agents.models.gate import Gate
from agentbench_agents.models.http import checked_url, event_data, within
from agentbench_agents.models.model import Completion, Message, Sampling, ToolSchema
from agentbench_agents.models.remote import RemoteModel, time_limits
from agentbench_agents.models.retry import Retry

if TYPE_CHECKING:
    import anthropic

_KEY_VARIABLE = "ANTHROPIC_API_KEY"
_PLACEHOLDER_KEY = "none"
_MAX_TOKENS = 8192  # the API requires a limit


class AnthropicModel(RemoteModel):
    """A model behind Anthropic's Messages API, or a server that speaks it, such as llama.cpp's.

    Args:
        model: The model's name.
        base_url: Default: ``ANTHROPIC_BASE_URL``, else Anthropic itself. A trailing ``/v1``, which
            the client adds by itself, is dropped.
        sampling: Defaults for every call; ``max_tokens`` is 8192 where nobody says otherwise.
        retry: Bounds of time and attempts.
        gate: Concurrency and rate limits; share one between models of one account.

    Raises:
        ModelConfigError: The client is not installed, or no key and no base URL is given.
    """

    scheme = "anthropic"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        retry: Retry = Retry(),  # noqa: B008 - frozen
        gate: Gate | None = None,
    ) -> None:
        self._client = _client(base_url)
        endpoint = Endpoint(
            url=str(self._client.base_url).rstrip("/"),
            model=model,
            key_variable=_KEY_VARIABLE,
            key=self._client.api_key or self._client.auth_token or "",
        )
        super().__init__(endpoint, sampling=sampling, retry=retry, gate=gate)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _body(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> dict[str, object]:
        system, turns = messages_api.to_turns(messages)
        body: dict[str, object] = {
            "messages": turns,
            "max_tokens": sampling.max_tokens or _MAX_TOKENS,
            "system": system or None,
            "tools": messages_api.to_tools(tools) or None,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop_sequences": list(sampling.stop) or None,
            "stream": True,
        }
        return {key: value for key, value in body.items() if value is not None}

    def _post(self, body: dict[str, object], timeout_s: float) -> Completion:
        deadline = time.monotonic() + timeout_s
        with self._client.messages.with_streaming_response.create(
            model=self._endpoint.model,
            messages=cast("Any", body["messages"]),
            max_tokens=cast("int", body["max_tokens"]),
            extra_body=body,
            timeout=time_limits(timeout_s),
        ) as response:
            chunks = within(deadline, response.iter_bytes())
            return messages_api.parse_stream(event_data(chunks))


def _client(base_url: str | None) -> "anthropic.Anthropic":
    try:
        import anthropic
    except ImportError:
        raise ModelConfigError(
            "anthropic models need the client: pip install 'agentbench-agents[anthropic]'"
        ) from None
    url = base_url or os.environ.get("ANTHROPIC_BASE_URL")
    key = os.environ.get(_KEY_VARIABLE)
    token = None if key else os.environ.get("ANTHROPIC_AUTH_TOKEN")
    if not key and not token:
        key = _PLACEHOLDER_KEY if url else None
    if not key and not token:
        raise ModelConfigError(
            f"set {_KEY_VARIABLE}, or give the base URL of a server that needs no key"
        )
    return anthropic.Anthropic(
        base_url=checked_url(url).rstrip("/").removesuffix("/v1") if url else None,
        api_key=key.strip() if key else None,
        auth_token=token.strip() if token else None,
        max_retries=0,  # `Retry` does it, and tells the gate
    )
