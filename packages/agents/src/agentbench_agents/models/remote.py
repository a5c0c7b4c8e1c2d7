"""A model behind an HTTP interface: what OpenAI's and Anthropic's protocols have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from agentbench_agents.models.endpoint import Endpoint
from agentbench_agents.models.errors import ModelError
from agentbench_agents.models.gate import Gate
from agentbench_agents.models.http import (
    NotACompletionError,
    StreamCutError,
    StreamFailedError,
    encodable,
)
from agentbench_agents.models.model import Completion, Message, Sampling, ToolSchema
from agentbench_agents.models.prices import known_window, with_cost
from agentbench_agents.models.retry import Retry
from agentbench_agents.models.tokens import estimate_tokens

_CONNECT_S = 10.0


class RemoteModel(ABC):
    """Retries, limits, prices and the translation of failures; the protocol is a subclass's."""

    scheme: ClassVar[str]

    def __init__(
        self, endpoint: Endpoint, *, sampling: Sampling, retry: Retry, gate: Gate | None
    ) -> None:
        self._endpoint = endpoint
        self._sampling = sampling
        self._retry = retry
        self._gate = gate or Gate()
        self._reached = False

    def __repr__(self) -> str:
        shown = self._endpoint.shown()
        return f"{type(self).__name__}({self._endpoint.model!r}, base_url={shown!r})"

    @property
    def name(self) -> str:
        """The scheme and the model's name."""
        return f"{self.scheme}:{self._endpoint.model}"

    @property
    def base_url(self) -> str:
        """Where requests go, without credentials."""
        return self._endpoint.shown()

    @property
    def window(self) -> int | None:
        """Tokens that a prompt and its answer may have together, where the price table knows."""
        return known_window(model=self._endpoint.model, url=self._endpoint.url)

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    ) -> Completion:
        """Answer a conversation; see `Model.complete`."""
        body: dict[str, object] = encodable(
            self._body(messages, tools, sampling.over(self._sampling))
        )
        return self._retry.call(
            lambda timeout_s: self._attempt(body, timeout_s),
            gate=self._gate,
            tokens=estimate_tokens(messages, tools=tools),
        )

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    def _body(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> dict[str, object]:
        """The request in the protocol's shape."""

    @abstractmethod
    def _post(self, body: dict[str, object], timeout_s: float) -> Completion:
        """Send the request and read the answer, once."""

    def _attempt(self, body: dict[str, object], timeout_s: float) -> Completion:
        try:
            completion = self._post(body, timeout_s)
        except Exception as error:
            failure = self._failure(error, timeout_s)
            if failure is None:
                raise
            # Without the cause: the clients' errors quote the server, which may quote the key.
            raise failure from None
        self._reached = True
        usage = with_cost(completion.usage, model=self._endpoint.model, url=self._endpoint.url)
        return replace(completion, usage=usage)

    def _failure(self, error: Exception, timeout_s: float) -> ModelError | None:
        """What a client's error means; ``None`` if it is none of a client's.

        Both clients wrap the transport's errors and carry the response of an HTTP error.
        """
        import httpx2

        wrapped = error.__cause__ if isinstance(error.__cause__, httpx2.TransportError) else error
        match wrapped:
            case httpx2.TransportError() | TimeoutError() | StreamCutError():
                return self._transport_failure(wrapped, timeout_s)
            case NotACompletionError():
                return self._endpoint.garbage(wrapped.raw, str(wrapped))
            case StreamFailedError():
                return self._endpoint.status(wrapped.status, {}, str(wrapped))
            case _:
                response: Any = getattr(wrapped, "response", None)
                if not isinstance(response, httpx2.Response):
                    return None
                return self._endpoint.status(response.status_code, response.headers, response.text)

    def _transport_failure(self, error: Exception, timeout_s: float) -> ModelError:
        import httpx2

        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            failure = self._endpoint.unreachable(error)
            # On first contact a refused connection is a server that is not there: no use waiting.
            failure.retryable = self._reached or isinstance(error, httpx2.ConnectTimeout)
            return failure
        if isinstance(error, (httpx2.TimeoutException, TimeoutError)):
            return self._endpoint.timed_out(timeout_s)
        return self._endpoint.broke_off(error)


def time_limits(timeout_s: float) -> Any:  # noqa: ANN401 - httpx2.Timeout, of an extra
    """Limits for each phase of a request, in seconds: connecting is quick or it is not."""
    import httpx2

    return httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
