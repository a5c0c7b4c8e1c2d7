"""Where a provider lives, and how its failures read: one sentence that says what to do."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agentbench_agents.models.errors import (
    ContextLengthError,
    ModelConfigError,
    ModelError,
    ModelProtocolError,
    ModelRequestError,
    ModelUnavailableError,
)
from agentbench_agents.models.secrets import redact

_EXCERPT = 200
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|prompt is too long|too many tokens|maximum.{0,20}tokens"
    r"|exceed_context_size",
    re.IGNORECASE,
)
_OUT_OF_QUOTA = re.compile(r"insufficient_quota|credit balance|billing", re.IGNORECASE)
_THROTTLED = frozenset({429, 503, 529})
_TRANSIENT = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address together with the words to describe its failures.

    Attributes:
        url: Base URL as it may be shown; credentials inside it are removed on display.
        model: The model asked for.
        key_variable: The environment variable that holds the key.
        key: The key, only to blank it where a server echoes it.
    """

    url: str
    model: str
    key_variable: str
    key: str = field(repr=False)

    def shown(self) -> str:
        """The URL without credentials."""
        return redact(self.url, secrets=(self.key,))

    def excerpt(self, body: str | bytes) -> str:
        """The start of what a server answered, on one line, without secrets."""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        flat = " ".join(redact(text, secrets=(self.key,)).split())
        printable = "".join(c if c.isprintable() else "�" for c in flat)
        return printable if len(printable) <= _EXCERPT else printable[: _EXCERPT - 1] + "…"

    def unreachable(self, error: BaseException) -> ModelUnavailableError:
        """No connection could be made."""
        return ModelUnavailableError(
            f"cannot reach {self.shown()} ({self._reason(error)}): "
            "start the server or check the base URL"
        )

    def broke_off(self, error: BaseException | str) -> ModelUnavailableError:
        """The connection ended before the whole answer was there."""
        return ModelUnavailableError(
            f"{self.shown()} broke off before its answer was complete ({self._reason(error)}): "
            "try again later or check the server"
        )

    def _reason(self, error: BaseException | str) -> str:
        if isinstance(error, str):
            return self.excerpt(error)
        deepest = _deepest(error)
        return self.excerpt(str(deepest) or type(deepest).__name__)

    def timed_out(self, timeout_s: float) -> ModelUnavailableError:
        """The whole answer was not there in time."""
        return ModelUnavailableError(
            f"{self.shown()} gave no complete answer within {timeout_s:g} s: "
            "check the server or allow more time"
        )

    def garbage(self, body: str | bytes, why: str) -> ModelProtocolError:
        """HTTP 200 with something that is not a completion."""
        return ModelProtocolError(
            f"{self.shown()} answered with something that is not a completion ({why}): "
            f'"{self.excerpt(body)}"; check that the base URL is right (most end in /v1)'
        )

    def status(self, status: int, headers: Mapping[str, str], body: str) -> ModelError:
        """The error that an HTTP status stands for.

        408, 409, 425, 429 and 5xx are worth another attempt, except when the account is out of
        quota; 401, 403 and 404 are a wrong key, address or name; every other 4xx is the request.
        """
        said = f'{self.shown()} answered HTTP {status} "{self.excerpt(_message(body))}"'
        if status >= 500 or status in _TRANSIENT:
            return self._overloaded(said, status, headers, body)
        kind, advice = ModelRequestError, "change what is asked for"
        if status in {401, 403}:
            kind, advice = ModelConfigError, f"check the key in {self.key_variable}"
        elif status in {404, 405}:
            advice = f"check the base URL (most end in /v1) and the model name {self.model!r}"
            kind = ModelConfigError
        elif status < 400:
            kind, advice = ModelConfigError, "use the address that it redirects to"
        elif _TOO_LONG.search(body):
            kind, advice = ContextLengthError, "shorten the conversation"
        return kind(f"{said}: {advice}")

    def _overloaded(
        self, said: str, status: int, headers: Mapping[str, str], body: str
    ) -> ModelUnavailableError:
        if status == 429 and _OUT_OF_QUOTA.search(body):
            return ModelUnavailableError(f"{said}: top up the account", retryable=False)
        return ModelUnavailableError(
            f"{said}: try again later or check the server",
            retry_after_s=retry_after(headers),
            throttled=status in _THROTTLED,
        )


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds that the headers ``retry-after-ms`` or ``retry-after`` ask us to wait.

    The latter is a number of seconds or an HTTP date (RFC 9110, section 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _message(body: str) -> str:
    """The human sentence inside a provider's JSON error, or the body as it is."""
    try:
        found = json.loads(body)
    except ValueError:
        return body
    for key in ("error", "detail", "message"):
        if isinstance(found, dict) and key in found:
            found = found[key]  # pyright: ignore[reportUnknownVariableType] - any JSON
    return found if isinstance(found, str) else body


def _deepest(error: BaseException) -> BaseException:
    """The first cause in a chain: clients wrap ``[Errno 111] Connection refused`` three deep."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__ or error
    return error
