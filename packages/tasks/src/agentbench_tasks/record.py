from typing import cast

from pydantic import BaseModel, ConfigDict, model_validator


class Record(BaseModel):
    """A frozen record of a task file; an unknown field is an error that lists the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
