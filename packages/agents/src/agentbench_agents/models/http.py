"""Reading an HTTP answer within a deadline, whole or as server-sent events."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from agentbench_agents.models.errors import ModelConfigError

T = TypeVar("T", bound=BaseModel)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST_ANSWER = 64 * 2**20  # bytes; a million tokens with log-probabilities are less


class NotACompletionError(ValueError):
    """What came is not what the protocol says.

    Attributes:
        raw: What came.
    """

    def __init__(self, why: str, raw: bytes = b"") -> None:
        super().__init__(why)
        self.raw = raw


class StreamCutError(ValueError):
    """The stream ended before the answer did."""


class StreamFailedError(ValueError):
    """The stream carried an error of the server.

    Attributes:
        status: The HTTP status that the error stands for.
    """

    def __init__(self, said: str, status: int = 500) -> None:
        super().__init__(said)
        self.status = status


def within(deadline: float, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, as long as they come in time and are not too many.

    A client's read time-out starts anew with every byte, so that a server that trickles would hold
    a run for ever.

    Args:
        deadline: On the clock of `time.monotonic`, in seconds.
        chunks: What the connection delivers.

    Raises:
        TimeoutError: The deadline passed.
        NotACompletionError: More than 64 MiB came.
    """
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > _LARGEST_ANSWER:
            raise NotACompletionError(f"more than {_LARGEST_ANSWER >> 20} MiB", chunk)
        if time.monotonic() > deadline:
            raise TimeoutError
        yield chunk


def event_data(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The ``data`` of each server-sent event of one line.

    Lines are split at newlines only: JSON may contain other line separators (U+2028).
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()


def validated(kind: type[T], raw: bytes) -> T:
    """Read JSON into a pydantic model; half of a surrogate pair becomes U+FFFD.

    Raises:
        NotACompletionError: It is not JSON, or a field is missing or of the wrong kind.
    """
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        failure = error
    try:  # strict JSON knows no lone surrogates; servers that cut a character in two send them
        return kind.model_validate(encodable(json.loads(raw)))
    except ValidationError as error:
        failure = error
    except (ValueError, RecursionError):
        pass
    first = failure.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    raise NotACompletionError(f"{where}: {first['msg']}" if where else first["msg"], raw)


def encodable(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """JSON whose strings can be sent.

    Half of a surrogate pair, which UTF-8 has no code for, becomes U+FFFD. Output of hostile
    programs may hold one.
    """
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {key: encodable(item) for key, item in fields.items()}
    if isinstance(value, list):
        return [encodable(item) for item in cast("list[Any]", value)]
    return value


def checked_url(url: str) -> str:
    """The URL, if it is one.

    Raises:
        ModelConfigError: It does not begin with ``http://HOST`` or ``https://HOST``.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ModelConfigError(
            f"the base URL {url!r} is not one: write it like http://localhost:8000/v1"
        )
    return url
