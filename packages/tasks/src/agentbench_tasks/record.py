import re
from collections.abc import Iterable
from typing import cast

from pydantic import BaseModel, ConfigDict, model_validator


class Record(BaseModel):
    """A frozen record of a task file; an unknown field is an error that lists the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, record: object) -> object:
        if isinstance(record, dict):
            fields = cast("dict[object, object]", record)
            unknown = [str(key) for key in fields if key not in cls.model_fields]
            if unknown:
                allowed = ", ".join(cls.model_fields)
                raise ValueError(f"unknown field {', '.join(unknown)}; allowed: {allowed}")
            return fields
        return record


def expand_names(names: Iterable[str]) -> list[str]:
    """Write out short forms of many names: `f1..f3` is f1, f2, f3, and `a|b` is a, b."""
    written: list[str] = []
    for name in names:
        match = re.fullmatch(r"(.*?)(\d+)(\D*)\.\.(.*?)(\d+)(\D*)", name)
        if match is None:
            written += name.split("|")
            continue
        before, first, after, _, last, _ = match.groups()
        width = len(first) if first.startswith("0") else 0
        written += [f"{before}{n:0{width}d}{after}" for n in range(int(first), int(last) + 1)]
    return written
