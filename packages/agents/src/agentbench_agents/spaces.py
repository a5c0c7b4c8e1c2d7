"""A Gymnasium space of strings: any Unicode, checked in constant time.

`gymnasium.spaces.Text` rejects every character outside a fixed alphabet and looks at each one
(70 to 130 ms for a megabyte), so it can hold neither programs nor their output.
"""

import string
from typing import Any, cast

import gymnasium
import numpy as np

_ALPHABET = list(string.ascii_letters + string.digits + string.punctuation + " ")


class AnyText(gymnasium.Space[str]):
    """All strings of at most `max_length` code points.

    It cannot live in shared memory: use `AsyncVectorEnv(..., shared_memory=False,
    context="forkserver")`. Workers that are forked, Gymnasium's default before Python 3.14, hang at
    the first grade if their parent has prepared or graded anything: polars' threads do not survive.
    """

    def __init__(
        self, max_length: int = 10_000_000, *, seed: int | np.random.Generator | None = None
    ) -> None:
        self.max_length = max_length
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-length array form."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> str:
        """Return 16 printable characters (or fewer, if the space is narrower)."""
        if mask is not None or probability is not None:
            raise ValueError("AnyText has no masks: sample() takes none")
        drawn = cast(
            "list[str]", self.np_random.choice(_ALPHABET, min(16, self.max_length)).tolist()
        )  # pyright: ignore[reportUnknownMemberType]
        return "".join(drawn)

    def contains(self, x: object) -> bool:
        """Whether `x` is a string that is not too long; O(1)."""
        return isinstance(x, str) and len(x) <= self.max_length

    def to_jsonable(self, sample_n: Any) -> list[str]:  # noqa: ANN401 - the signature of Space
        """Strings are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Strings are JSON already."""
        return list(sample_n)

    def __repr__(self) -> str:
        return f"AnyText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText) and other.max_length == self.max_length

    def __hash__(self) -> int:
        return hash((AnyText, self.max_length))

    def __setstate__(self, state: dict[str, Any]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Restore from a pickle or a deep copy."""
        self.__dict__.update(state)
