"""How much two code trees have in common: winnowed fingerprints (Schleimer et al. 2003)."""

import io
import keyword
import tokenize
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError

_MAX_FILE_BYTES = 4_000_000
_SKIPPED = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
)


class CodeSimilarity(NamedTuple):
    """Shares of fingerprints that two trees have in common.

    `jaccard` is shared over all; `contained` is the share of the first tree found in the second.
    """

    jaccard: float
    contained: float


def code_similarity(
    first: str | Path, second: str | Path, *, k: int = 12, window: int = 8
) -> CodeSimilarity:
    """Compare the Python code of two files or folders.

    Names, numbers and texts are replaced by their kind, comments and layout dropped, so renaming
    and reformatting change nothing. Every common run of `k + window - 1` tokens is found. Files
    are only read, never run; links are not followed.

    Args:
        first: File or folder.
        second: File or folder.
        k: Tokens in a fingerprinted run.
        window: Runs of which one fingerprint is kept.

    Raises:
        InvalidInputError: A path that does not exist.
        UndefinedMetricError: A tree shorter than `k` tokens.
    """
    if k < 1 or window < 1:
        raise InvalidInputError(f"k and window must be at least 1, not {k} and {window}")
    a, b = (_tree_fingerprints(Path(path), k, window) for path in (first, second))
    for path, prints in ((first, a), (second, b)):
        if not prints:
            raise UndefinedMetricError(f"{path} holds no {k} tokens of Python code")
    shared = len(a & b)
    return CodeSimilarity(jaccard=shared / len(a | b), contained=shared / len(a))


def _tree_fingerprints(root: Path, k: int, window: int) -> set[int]:
    if not root.exists():
        raise InvalidInputError(f"there is no {root}")
    found: set[int] = set()
    for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_FILE_BYTES:
            code = path.read_bytes().decode("utf-8", errors="replace")
            found |= fingerprints(code, k=k, window=window)
    return found


def fingerprints(code: str, *, k: int = 12, window: int = 8) -> set[int]:
    """Winnowed hashes of all runs of `k` tokens: of each `window` runs the smallest hash."""
    tokens = list(_kinds(code))
    hashes = [
        int.from_bytes(blake2b("\x1f".join(tokens[i : i + k]).encode(), digest_size=8).digest())
        for i in range(len(tokens) - k + 1)
    ]
    return {min(hashes[i : i + window]) for i in range(max(1, len(hashes) - window + 1)) if hashes}


def _kinds(code: str) -> Iterator[str]:
    """Tokens with names, numbers and texts replaced by their kind; words where it is no Python."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        yield from code.split()
        return
    for token in tokens:
        if token.type in _SKIPPED:
            continue
        if token.type == tokenize.NAME:
            yield token.string if keyword.iskeyword(token.string) else "name"
        elif token.type in (tokenize.NUMBER, tokenize.STRING, tokenize.INDENT, tokenize.DEDENT):
            yield tokenize.tok_name[token.type]
        else:
            yield token.string
