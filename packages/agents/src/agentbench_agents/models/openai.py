"""Any server that speaks OpenAI's chat completions, through the official client.

OpenAI itself, vLLM, SGLang, Ollama, llama.cpp, ``transformers serve``, DeepSeek, Gemini, Grok and
Azure differ only in base URL and key.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from agentbench_agents.models import chat_completion
from agentbench_agents.models.endpoint import Endpoint
from agentbench_agents.models.errors import ModelConfigError
from agentbench_agents.models.gate import Gate
from agentbench_agents.models.http import checked_url, event_data, within
from agentbench_agents.models.model import Completion, Message, Sampling, ToolSchema
from agentbench_agents.models.remote import RemoteModel, time_limits
from agentbench_agents.models.retry import Retry

if TYPE_CHECKING:
    import openai

_KEY_VARIABLE = "OPENAI_API_KEY"
_PLACEHOLDER_KEY = "none"  # local servers want some key and check none


class OpenAIModel(RemoteModel):
    """A model behind an OpenAI-compatible server.

    Args:
        model: The model's name at the server.
        base_url: Usually ends in ``/v1``. Default: ``OPENAI_BASE_URL``, else OpenAI itself.
        sampling: Defaults for every call.
        retry: Bounds of time and attempts.
        gate: Concurrency and rate limits; share one between models of one account.
        stream: Receive the answer as a stream: for servers behind proxies that cut idle
            connections. A stream that ends early is never taken for an answer.
        extra_body: Further fields of the request, such as vLLM's ``{"return_token_ids": True}``.

    Raises:
        ModelConfigError: The client is not installed, or no key and no base URL is given.
    """

    scheme = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        retry: Retry = Retry(),  # noqa: B008 - frozen
        gate: Gate | None = None,
        stream: bool = False,
        extra_body: Mapping[str, object] | None = None,
    ) -> None:
        self._client = _client(base_url)
        endpoint = Endpoint(
            url=str(self._client.base_url).rstrip("/"),
            model=model,
            key_variable=_KEY_VARIABLE,
            key=self._client.api_key,
        )
        super().__init__(endpoint, sampling=sampling, retry=retry, gate=gate)
        self._stream = stream
        self._extra_body = dict(extra_body or {})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _body(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> dict[str, object]:
        limit = _limit_field(self._endpoint.url)
        body: dict[str, object] = {
            "model": self._endpoint.model,
            "messages": list(messages),
            "tools": list(tools) or None,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            limit: sampling.max_tokens,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
            "logprobs": sampling.logprobs or None,
        }
        body = {key: value for key, value in body.items() if value is not None}
        if self._stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body | self._extra_body

    def _post(self, body: dict[str, object], timeout_s: float) -> Completion:
        deadline = time.monotonic() + timeout_s
        with self._client.chat.completions.with_streaming_response.create(
            model=self._endpoint.model,
            messages=cast("Any", body["messages"]),  # our `Message` is their shape
            extra_body=body,
            timeout=time_limits(timeout_s),
        ) as response:
            chunks = within(deadline, response.iter_bytes())
            if self._stream:
                return chat_completion.parse_stream(event_data(chunks))
            return chat_completion.parse(b"".join(chunks))


def _client(base_url: str | None) -> "openai.OpenAI":
    try:
        import openai
    except ImportError:
        raise ModelConfigError(
            "openai models need the client: pip install 'agentbench-agents[openai]'"
        ) from None
    url = base_url or os.environ.get("OPENAI_BASE_URL")
    key = os.environ.get(_KEY_VARIABLE) or (_PLACEHOLDER_KEY if url else None)
    if key is None:
        raise ModelConfigError(
            f"set {_KEY_VARIABLE}, or give the base URL of a server that needs no key"
        )
    return openai.OpenAI(
        base_url=checked_url(url) if url else None,
        api_key=key.strip(),
        max_retries=0,  # `Retry` does it, and tells the gate
    )


def _limit_field(url: str) -> str:
    """OpenAI's reasoning models refuse ``max_tokens``; other servers know nothing else."""
    host = urlsplit(url).hostname or ""
    own = host == "api.openai.com" or host.endswith(".openai.azure.com")
    return "max_completion_tokens" if own else "max_tokens"
