"""The files of a run: what programs printed and what was submitted, kept whole.

All branches of an episode write to one directory. Submissions are numbered 1, 2, … over all of
them, in the order in which they came.
"""

import shutil
import tempfile
import threading
from pathlib import Path

from agentbench_agents.errors import RunDirectoryError


class RunFiles:
    """A run directory shared by the branches of an episode; safe to use from several threads.

    Args:
        directory: Where to write; None for a temporary directory, which goes with the last branch.
    """

    def __init__(self, directory: Path | None) -> None:
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="agentbench-run-"))
        self._lock = threading.Lock()
        self._branches = 1
        self._submissions = 0

    def share(self) -> "RunFiles":
        """Count one more branch."""
        with self._lock:
            self._branches += 1
        return self

    def release(self) -> None:
        """Count one branch less; the last removes a temporary directory."""
        with self._lock:
            self._branches -= 1
            last = self._branches == 0
        if last and self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def next_submission(self) -> int:
        """Return a number that no other submission of the run has."""
        with self._lock:
            self._submissions += 1
            return self._submissions

    def keep_submission(self, number: int, data: bytes) -> Path:
        """Write a submission and return where it is.

        Raises:
            RunDirectoryError: It cannot be written (a full disk, say).
        """
        path = self.directory / "submissions" / f"{number}.csv"
        _write(path, data)
        return path

    def keep_output(self, step: int, stream: str, data: bytes) -> None:
        """Write what a program printed in a step.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        if data:
            _write(self.directory / "outputs" / f"{step}.{stream}.txt", data)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error
