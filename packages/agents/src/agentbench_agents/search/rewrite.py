"""Whether a fix changed the method: it kept less than half of the lines of the program."""

from difflib import SequenceMatcher

KEPT = 0.5


def kept(before: str, after: str) -> float:
    """Return the part of a program's lines that another has too, in order, in [0, 1].

    Blank lines, comments and indentation do not count. It is a rule of thumb: a program whose fix
    is long counts as rewritten, and a change of method in few lines goes unnoticed.
    """
    old, new = (
        [line.strip() for line in code.splitlines() if line.strip() and line.strip()[0] != "#"]
        for code in (before, after)
    )
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(old) if old else 1.0


def is_rewritten(before: str, after: str) -> bool:
    """Whether `after` is another program rather than a fix of `before`; no program is neither."""
    return bool(after) and kept(before, after) < KEPT
