from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Record(BaseModel):
    """A frozen record of a task file; an unknown field is an error that lists the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, record: Any) -> Any:
        if isinstance(record, dict):
            unknown = [str(key) for key in record if key not in cls.model_fields]
            if unknown:
                allowed = ", ".join(cls.model_fields)
                raise ValueError(f"unknown field {', '.join(unknown)}; allowed: {allowed}")
        return record
