"""Record what a model answers and give it back later, without the model.

A recording is a JSON Lines file of requests and answers. A request is found again by its content:
the SHA-256 of messages, tools and the call's own sampling as canonical JSON, secrets blanked,
together with how often the same content was asked before. So five samples of one prompt stay five
answers, and an edited prompt is a miss instead of a wrong answer.

Threads that ask the same thing at the same time get the recorded answers in the order of arrival.
Where that order must not matter, give each call its own `Sampling.seed`.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, TypeAdapter, ValidationError

from agentbench_agents.models.errors import ModelConfigError
from agentbench_agents.models.model import Completion, Message, Model, Sampling, ToolSchema
from agentbench_agents.models.secrets import redact, redact_json

Mode = Literal["record", "replay", "auto"]

_COMPLETION = TypeAdapter(Completion)


class _Line(BaseModel):
    """One answered request.

    Attributes:
        model: Who answered.
        key: The content's digest.
        occurrence: How often the same content had been asked before, from 0.
        request: What was asked, for people and for `ReplayModel` to say what is near a miss.
        completion: The answer.
    """

    model: str
    key: str
    occurrence: int
    request: dict[str, object]
    completion: dict[str, object]


class ReplayModel:
    """Answers from a recording, or makes one.

    Args:
        path: The recording.
        model: Who answers what is not recorded; needed to record.
        mode: ``replay`` answers from the file alone and refuses what is not in it. ``record`` asks
            the model and writes a new file. ``auto`` answers from the file and asks the model for
            the rest, which it adds.

    Raises:
        ModelConfigError: The file is missing, exists already (``record``) or is no recording, or
            there is nobody to record.
    """

    def __init__(
        self,
        path: str | Path,
        model: Model | None = None,
        *,
        mode: Mode = "replay",
    ) -> None:
        self._path = Path(path)
        self._model = model
        self._mode: Mode = mode
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        if mode != "replay" and model is None:
            raise ModelConfigError(f"mode {mode!r} needs a model to ask")
        if mode == "record" and self._path.exists():
            raise ModelConfigError(
                f"{self._path} exists already: remove it, or use mode 'auto' to add to it"
            )
        if mode == "replay" and not self._path.is_file():
            raise ModelConfigError(f"there is no recording {self._path}")
        lines = _read(self._path) if self._path.exists() else []
        if mode == "auto" and self._path.exists():
            _drop_cut_line(self._path)
        self._recorded = {(line.key, line.occurrence): line.completion for line in lines}
        self._answered_by = lines[0].model if lines else "nobody"

    @property
    def name(self) -> str:
        """The name of the model that was recorded, after ``replay:`` when it is not asked."""
        return self._model.name if self._model else f"replay:{self._answered_by}"

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    ) -> Completion:
        """The recorded answer, or a new one.

        Raises:
            ModelConfigError: The request is not in the recording (``replay``).
        """
        request = _request(messages, tools, sampling)
        key = hashlib.sha256(request.encode()).hexdigest()
        with self._lock:
            occurrence = self._asked[key]
            self._asked[key] += 1
        found = self._recorded.get((key, occurrence))
        if found is not None:
            return _COMPLETION.validate_python(found)
        if self._model is None or self._mode == "replay":
            raise ModelConfigError(self._miss(key, occurrence, messages))
        completion = self._model.complete(messages, tools=tools, sampling=sampling)
        self._append(key, occurrence, request, completion)
        return completion

    def close(self) -> None:
        """Close the model that was recorded."""
        if self._model:
            self._model.close()

    def _append(self, key: str, occurrence: int, request: str, completion: Completion) -> None:
        line = _Line(
            model=self.name,
            key=key,
            occurrence=occurrence,
            request=json.loads(request),
            completion=redact_json(asdict(completion)),
        )
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")

    def _miss(self, key: str, occurrence: int, messages: Sequence[Message]) -> str:
        last = messages[-1]["content"] if messages else ""
        asked = redact(" ".join(last.split()))[-80:]
        times = sum(k == key for k, _ in self._recorded)
        why = (
            f"was recorded {times} times and is asked for the {occurrence + 1}. time"
            if times
            else "was never recorded: the prompt, the tools or the sampling differ"
        )
        return f"{self._path} has no answer: the request that ends in {asked!r} {why}"


def _request(messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling) -> str:
    """A request as canonical JSON, secrets blanked."""
    content = {"messages": list(messages), "tools": list(tools), "sampling": asdict(sampling)}
    return json.dumps(redact_json(content), sort_keys=True, separators=(",", ":"))


def _drop_cut_line(path: Path) -> None:
    """Shorten the file to its last whole line, so that the next one begins on its own."""
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)


def _read(path: Path) -> list[_Line]:
    """The lines of a recording; a last line that was cut by a crash is left out."""
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    found: list[_Line] = []
    for number, text in enumerate(lines, 1):
        try:
            line = _Line.model_validate_json(text)
            _COMPLETION.validate_python(line.completion)
        except ValidationError as error:
            what = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise ModelConfigError(f"{path}, line {number} is no recorded answer: {what}") from None
        found.append(line)
    return found
