"""What can go wrong between us and a model. None of it is ever the agent's score."""

from agentbench_agents.errors import AgentsError


class ModelError(AgentsError, RuntimeError):
    """Root of the errors of models."""


class ModelUnavailableError(ModelError, ConnectionError):
    """The provider did not answer: down, overloaded, out of quota. Infrastructure.

    Attributes:
        retry_after_s: How long the provider asked us to wait, in seconds.
        throttled: The provider asked for fewer requests (HTTP 429, 503 or 529).
        retryable: Whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        throttled: bool = False,
        retryable: bool = True,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.throttled = throttled
        self.retryable = retryable


class ModelProtocolError(ModelError):
    """The provider answered with something that is not a completion. Infrastructure."""


class ModelConfigError(ModelError, ValueError):
    """What was asked for cannot be opened: unknown scheme or name, missing extra, wrong key."""


class ModelRequestError(ModelError, ValueError):
    """The provider understood the request and refuses it (HTTP 400, 413 or 422)."""


class ContextLengthError(ModelRequestError):
    """The conversation is longer than the model's window."""
