"""Cutting long output down to its head and tail, and making it safe to print."""

import unicodedata


def trim(text: str, *, limit: int = 6000) -> str:
    """Keep the first and last half of `limit` characters and say how much is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} of {len(text)} characters left out ...]\n{text[-half:]}"


def printable(text: str) -> str:
    """Replace what would control a person's terminal (escape sequences, direction marks)."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )
