"""What the rewards of a trained model are measured in, kept beside its weights."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agentbench_irl.errors import DataError

FILE_NAME = "iqlearn.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardScale:
    """The constants of r = Q - γ V(s').

    Attributes:
        discount: γ.
        temperature: τ of the soft value.
        terminal_value: V after the end; None if it has not been measured or is not used.
    """

    discount: float = 1.0
    temperature: float = 1.0
    terminal_value: float | None = None

    def with_terminal_value(self, value: float) -> "RewardScale":
        """Return the same scale with a terminal value."""
        return dataclasses.replace(self, terminal_value=value)

    def save(self, directory: Path) -> None:
        """Write `iqlearn.json` into a directory, atomically."""
        directory.mkdir(parents=True, exist_ok=True)
        draft = directory / f".{FILE_NAME}.{os.getpid()}"
        draft.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")
        draft.replace(directory / FILE_NAME)

    @classmethod
    def load(cls, directory: Path) -> "RewardScale":
        """Return the scale of a model directory; the default where none was written.

        Raises:
            DataError: The file is not a reward scale.
        """
        try:
            text = (directory / FILE_NAME).read_bytes()
        except FileNotFoundError:
            return cls()
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            msg = f"{directory / FILE_NAME} is not a reward scale: {error.errors()[0]['msg']}"
            raise DataError(msg) from error
