"""Keeps secrets out of whatever is written: errors, recordings, trajectories."""

import os
import re
from collections.abc import Iterable, Mapping

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
_USERINFO = re.compile(r"://[^/@\s]+@")
_SHORTEST = 8  # a shorter value would blank ordinary words
REDACTED = "[secret]"


def environment_secrets(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Values of environment variables whose names say that they are secret, longest first."""
    variables = os.environ if environ is None else environ
    found = {v for k, v in variables.items() if _SECRET_NAME.search(k) and len(v) >= _SHORTEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Replace secrets in ``text`` by ``[secret]``.

    Three kinds are found: the values given, the values of the host's environment variables that
    are named like secrets, and strings shaped like the keys of well-known providers. Passwords in
    URLs go too.

    Args:
        text: Anything about to be written down.
        secrets: Further values to hide, such as the key that a client was opened with.
    """
    for secret in (*secrets, *environment_secrets()):
        if secret in text:
            text = text.replace(secret, REDACTED)
    for shape in _SECRET_SHAPES:
        text = shape.sub(_blank, text)
    return _USERINFO.sub("://", text)


def _blank(match: "re.Match[str]") -> str:
    """``sk-`` inside a word such as ``task-`` begins no key."""
    start = match.start()
    inside = start > 0 and match.string[start - 1].isalnum()
    return match[0] if inside else REDACTED
