"""Keeps secrets out of whatever is written: errors, recordings, trajectories."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_ID)?$", re.IGNORECASE)
_SECRET_SHAPES = tuple(
    re.compile(shape)  # each begins with a literal, which makes the search fast
    for shape in (
        r"sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic and those that copy them
        r"hf_[A-Za-z0-9]{20,}",  # Hugging Face
        r"gh[pousr]_[A-Za-z0-9]{20,}",
        r"github_pat_[A-Za-z0-9_]{20,}",
        r"AKIA[0-9A-Z]{16}",  # Amazon
        r"AIza[0-9A-Za-z_-]{35}",  # Google
        r"xai-[A-Za-z0-9]{20,}",
    )
)
# ends with a quote or an escape: in a text that holds JSON or code, what follows is no password
_USERINFO = re.compile(r"""://[^/@\s"'`\\<>]+@""")
_ESCAPE = re.compile(r"\\(?:[bfnrt]|u[0-9a-fA-F]{4})$")
_SHORTEST = 8  # a shorter value would blank ordinary words
REDACTED = "[secret]"


def environment_secrets(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Values of environment variables whose names say that they are secret, longest first."""
    variables = os.environ if environ is None else environ
    found = {variables[name] for name in variables if _is_secret(name)}
    long_enough = (value for value in found if len(value) >= _SHORTEST)
    return tuple(sorted(long_enough, key=lambda value: (-len(value), value)))


@lru_cache(maxsize=4096)  # asked for every variable at every event that is written
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Replace secrets in ``text`` by ``[secret]``.

    Three kinds are found: the values given, the values of the host's environment variables that
    are named like secrets, and strings shaped like the keys of well-known providers. Passwords in
    URLs go too.

    Args:
        text: Anything about to be written down.
        secrets: Further values to hide, such as the key that a client was opened with.
    """
    return _blanked(text, _spellings((*secrets, *environment_secrets())))


def redact_json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with the secrets in its strings replaced; keys and numbers stay.

    A value and not its JSON text: there the letter of an escape would make a word of what begins a
    line, and a password could seem to reach from one string into the next.
    """
    return _walked(value, _spellings(environment_secrets()))


def _walked(value: Any, secrets: Sequence[str]) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return _blanked(value, secrets)
    if isinstance(value, dict):
        return {k: _walked(v, secrets) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_walked(v, secrets) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Secrets as they are, and as JSON text within a text has them."""
    return tuple(s for secret in secrets for s in dict.fromkeys((secret, json.dumps(secret)[1:-1])))


def _blanked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, REDACTED)
    for shape in _SECRET_SHAPES:
        text = shape.sub(_blank, text)
    return _USERINFO.sub("://", text)


def _blank(match: "re.Match[str]") -> str:
    """``sk-`` inside a word such as ``task-`` begins no key; after an escape in JSON it does."""
    before = match.string[max(0, match.start() - 6) : match.start()]
    inside = before[-1:].isalnum() and _ESCAPE.search(before) is None
    return match[0] if inside else REDACTED
