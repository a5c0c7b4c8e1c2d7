"""Who runs what: an SQLite ledger of leases, so that each planned run is finished exactly once.

The directories are the truth and the ledger can be rebuilt from them: it only keeps two workers
from doing the same run at once. A lease whose process is gone is free at once; one of another host
is free when it expires. A result lands only while its lease is held.
"""

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from agentbench_agents.errors import RunDirectoryError

_LEASE_S = 120.0
_SCHEMA = """
create table if not exists runs (
  run_id text primary key,
  status text not null default 'planned',
  owner text,
  expires real,
  attempt integer not null default 0
)
"""


class Ledger:
    """Claims and finishes runs. One instance belongs to one thread.

    Raises:
        RunDirectoryError: The file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = _identity(os.getpid())
        with self._errors():
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute(_SCHEMA)

    def plan(self, run_ids: Iterable[str]) -> None:
        """Offer runs to be done; what is running stays as it is."""
        with self._errors(), self._transaction():
            self._db.executemany(
                "insert into runs(run_id) values (?) on conflict(run_id)"
                " do update set status='planned' where status='done'",
                [(run_id,) for run_id in run_ids],
            )

    def claim(self, among: Iterable[str]) -> tuple[str, int] | None:
        """Take the lease of one run that nobody holds; return its id and the attempt."""
        wanted = set(among)
        now = time.time()
        with self._errors(), self._transaction():
            rows = self._db.execute(
                "select run_id, status, owner, expires, attempt from runs order by rowid"
            ).fetchall()
            for run_id, status, owner, expires, attempt in rows:
                free = status == "planned" or (
                    status == "running" and (expires < now or not _alive(owner))
                )
                if run_id in wanted and free:
                    self._db.execute(
                        "update runs set status='running', owner=?, expires=?, attempt=?"
                        " where run_id=?",
                        (self._owner, now + _LEASE_S, attempt + 1, run_id),
                    )
                    return str(run_id), int(attempt) + 1
        return None

    def renew(self, run_id: str, attempt: int) -> None:
        """Extend a lease."""
        with self._errors(), self._transaction():
            self._db.execute(
                "update runs set expires=? where run_id=? and owner=? and attempt=?",
                (time.time() + _LEASE_S, run_id, self._owner, attempt),
            )

    def finish(self, run_id: str, attempt: int, *, write: Callable[[], None]) -> bool:
        """Call `write` and mark the run done, if the lease is still ours; one writer at a time."""
        with self._errors(), self._transaction():
            row = self._db.execute(
                "select 1 from runs where run_id=? and owner=? and attempt=? and status='running'",
                (run_id, self._owner, attempt),
            ).fetchone()
            if row is None:
                return False
            write()
            self._db.execute("update runs set status='done' where run_id=?", (run_id,))
        return True

    def release(self, run_id: str, attempt: int) -> None:
        """Give a lease back without a result."""
        with self._errors(), self._transaction():
            self._db.execute(
                "update runs set status='planned' where run_id=? and owner=? and attempt=?",
                (run_id, self._owner, attempt),
            )

    @contextlib.contextmanager
    def exclusive(self) -> Generator[None]:
        """Keep other writers of the directory out."""
        with self._errors(), self._transaction():
            yield

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    @contextlib.contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunDirectoryError(f"cannot use {self._path}: {error}") from error


def _identity(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{_start_time(pid)}"


def _alive(owner: str) -> bool:
    host, pid, started = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return True
    return _start_time(int(pid)) == started and started != "gone"


def _start_time(pid: int) -> str:
    """Return when a process started, so that a reused process id is not taken for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return "gone" if Path("/proc/self").exists() else _start_time_elsewhere(pid)
    return stat.rpartition(")")[2].split()[19]


def _start_time_elsewhere(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        pass
    return "alive"
