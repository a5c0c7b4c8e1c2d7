"""Reading what a model answered: a plan in words and one fenced block of Python."""

import re
from dataclasses import dataclass

_FENCE = re.compile(
    r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL
)
_PYTHON = {"python", "python3", "py"}


class AnswerError(ValueError):
    """An answer without one readable program; the message is told to the model."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan (the words before the program) and a whole Python program."""

    plan: str
    code: str


def parse_answer(text: str) -> Answer:
    """Read an answer. Nothing of the program is parsed here, on the host.

    A single block may have any label; of several, exactly one must be labelled as Python.

    Raises:
        AnswerError: There is no closed block, an empty one, or several.
    """
    text = text.replace("\r\n", "\n")
    blocks = list(_FENCE.finditer(text))
    if len(blocks) > 1:
        blocks = [b for b in blocks if b[1].lower() in _PYTHON] or blocks
    if not blocks:
        began = re.search(r"^[ \t]*```", text, re.MULTILINE)
        why = "its block of code is not closed: was it too long?" if began else "it has no block"
        raise AnswerError(f"{why} (expected a plan, then one block that begins with ```python)")
    if len(blocks) > 1:
        raise AnswerError(f"it has {len(blocks)} blocks of Python; write one whole program in one")
    if not blocks[0][2].strip():
        raise AnswerError("its block of code is empty")
    return Answer(text[: blocks[0].start()].strip(), blocks[0][2])
