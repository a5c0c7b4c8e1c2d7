"""Cutting long output down to its head and tail."""


def trim(text: str, *, limit: int = 6000) -> str:
    """Keep the first and last half of `limit` characters and say how much is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} of {len(text)} characters left out ...]\n{text[-half:]}"
