"""The record of a run: an append-only stream of events, one JSON object a line.

Every event has `id` (1, 2, …), `parent` (the event it follows, or null), `type`
(`message | action | observation | score | note`) and `t` (seconds since the start). A message is
stored once: a conversation is the path from its last message to the root, so that the branches of
a search share what they have in common. So are the actions, scores and observations of an episode:
they begin at a note that lists the actions, and where an environment was forked the path divides.
`message` of an action names the message that its thread had come to, so that what a model said can
be joined with what it earned. Secrets are blanked out. A line is written with one system call;
`kill -9` loses at most the line being written.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from agentbench_agents.errors import RunDirectoryError
from agentbench_agents.models.secrets import redact_json

_Json = Any
EventType = Literal["message", "action", "observation", "score", "note"]


class _Said(threading.local):
    """What one thread came to last, and the answers that were given to it."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.answers: dict[bytes, int] = {}


class Trajectory:
    """Writes events; safe to use from several threads.

    Args:
        path: The file to append to, or None to number events without keeping them.

    Raises:
        RunDirectoryError: The file cannot be opened or written (a full disk, say).
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._next = 1
        self._start = time.monotonic()
        self._messages: dict[bytes, int] = {}
        self._said = _Said()
        self._fd: int | None = None
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except OSError as error:
                raise RunDirectoryError(f"cannot create {path}: {error.strerror}") from error

    @property
    def last_message(self) -> int | None:
        """Id of the message that this thread came to last, in writing or again; None if none."""
        return self._said.id

    def append(
        self, type_: EventType, data: Mapping[str, _Json], *, parent: int | None = None
    ) -> int:
        """Write one event and return its id."""
        with self._lock:
            return self._append(type_, data, parent)

    def append_messages(
        self,
        messages: Sequence[Mapping[str, _Json]],
        *,
        data: Mapping[str, _Json] | None = None,
        parent: int | None = None,
    ) -> int | None:
        """Write the messages of a conversation that are not on record yet.

        Args:
            messages: The conversation, oldest first.
            data: What else to say of the last message (usage, seconds). It was said just now, so
                it is an event of its own also where the same words are on record; what this thread
                says after it follows it, whatever others were answered with the same words.
            parent: The message that the first one follows; by default it begins a conversation.

        Returns:
            The id of the last message, `parent` for an empty conversation.
        """
        said = self._said
        with self._lock:
            for i, message in enumerate(messages):
                key = _digest(parent, message)
                extra = data if data and i == len(messages) - 1 else None
                known = None if extra else said.answers.get(key, self._messages.get(key))
                if known is None:
                    known = self._append("message", {**message, **(extra or {})}, parent)
                    self._messages[key] = known
                    if extra:
                        said.answers[key] = known
                parent = known
        if parent is not None:
            said.id = parent
        return parent

    def _append(self, type_: str, data: Mapping[str, _Json], parent: int | None) -> int:
        number = self._next
        if self._fd is not None:
            event = {
                "id": number,
                "parent": parent,
                "type": type_,
                "t": round(time.monotonic() - self._start, 4),
                **redact_json(dict(data)),
            }
            line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
            try:
                written = os.write(self._fd, line)
            except OSError as error:
                raise RunDirectoryError(f"cannot write {self._path}: {error.strerror}") from error
            if written != len(line):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                raise RunDirectoryError(f"cannot write {self._path}: no space left on device")
        self._next += 1
        return number

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Branch:
    """One path through the events of an episode: each event's parent is the one before.

    Attributes:
        trajectory: Where all branches are written.
        last: Id of the path's last event, None before the first.
    """

    def __init__(self, trajectory: Trajectory, *, last: int | None = None) -> None:
        self.trajectory = trajectory
        self.last = last

    def append(self, type_: EventType, data: Mapping[str, _Json]) -> None:
        """Write an event that follows the last one."""
        self.last = self.trajectory.append(type_, data, parent=self.last)

    def fork(self) -> "Branch":
        """Return a path that is the same so far."""
        return Branch(self.trajectory, last=self.last)


def read_trajectory(path: Path) -> Iterator[dict[str, _Json]]:
    """Yield the events of a trajectory file; a torn last line is left out.

    Raises:
        RunDirectoryError: A line that is not the last is no JSON object.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise RunDirectoryError(
                    f"{path}, line {number}: not a JSON object; the file was changed"
                ) from error


def _digest(parent: int | None, message: Mapping[str, _Json]) -> bytes:
    text = json.dumps([parent, message], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()
