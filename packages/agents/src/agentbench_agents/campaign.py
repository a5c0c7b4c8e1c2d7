"""A campaign: tasks × agents × models × seeds, planned once and finished exactly once.

`DIR/<run_id>/run.json` is written for every run when it is planned, `result.json` last of all, so
the directories alone say what is left to do. Issuing the same plan again does what is missing.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agentbench_agents.errors import RunDirectoryError
from agentbench_agents.ledger import Ledger
from agentbench_agents.models import Gate
from agentbench_agents.run import (
    RESULT_FILE,
    RUN_FILE,
    RunResult,
    RunSpec,
    planned_record,
    run_one,
    write_json,
    write_result,
)

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv

RESULTS_FILE = "results.jsonl"
LEDGER_FILE = "ledger.sqlite"
_RENEW_S = 30.0


class Watcher:
    """Hears what a campaign does; override what you want to show."""

    def started(self, spec: RunSpec) -> None:
        """A run has begun."""

    def stepped(self, spec: RunSpec, env: "TaskEnv") -> None:
        """A run has taken a step."""

    def finished(self, spec: RunSpec, result: RunResult) -> None:
        """A run has its result."""


class Campaign:
    """The runs of one output directory.

    Raises:
        RunDirectoryError: The directory cannot be written, or holds something else.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._gates: dict[tuple[str, str | None], Gate] = {}
        self._lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"cannot create {directory}: {error.strerror}") from error

    def plan(self, specs: Iterable[RunSpec]) -> list[RunSpec]:
        """Add runs; those already planned or done stay as they are. Returns the given specs."""
        planned = list(specs)
        for spec in planned:
            folder = self.directory / spec.run_id
            if not (folder / RUN_FILE).exists():
                _make(folder)
                write_json(folder / RUN_FILE, planned_record(spec))
        return planned

    def specs(self) -> list[RunSpec]:
        """Return every planned run.

        Raises:
            RunDirectoryError: A `run.json` does not hold a spec.
        """
        return [_read_spec(path) for path in sorted(self.directory.glob(f"*/{RUN_FILE}"))]

    def results(self) -> list[RunResult]:
        """Return the result of every finished run, from the directories."""
        return [_read_result(path) for path in sorted(self.directory.glob(f"*/{RESULT_FILE}"))]

    def execute(
        self, specs: Sequence[RunSpec], *, jobs: int = 1, watcher: Watcher | None = None
    ) -> list[RunResult]:
        """Do what is left of these runs and return the results of all of them.

        Runs whose infrastructure had failed are done again. The first error of a run that is no
        result (see `run_one`) ends the campaign after the runs in progress.
        """
        watcher = watcher or Watcher()
        wanted = {spec.run_id: spec for spec in specs}
        ledger = Ledger(self.directory / LEDGER_FILE)
        try:
            with ledger.exclusive():
                results = self.results()
                done = {r.run_id for r in results if r.status != "infra"}
                left = {run_id: spec for run_id, spec in wanted.items() if run_id not in done}
                self._rebuild_results([r for r in results if r.run_id not in left])
            ledger.plan(left)
        finally:
            ledger.close()
        workers = _Workers(jobs, lambda stop: self._work(left, watcher, stop))
        workers.run()
        return [r for r in self.results() if r.run_id in wanted]

    def _work(self, left: dict[str, RunSpec], watcher: Watcher, stop: "_Stop") -> None:
        ledger = Ledger(self.directory / LEDGER_FILE)
        try:
            while not stop.asked:
                claimed = ledger.claim(left)
                if claimed is None:
                    return
                try:
                    self._do(ledger, claimed, left[claimed[0]], watcher, stop)
                except BaseException:
                    ledger.release(*claimed)
                    raise
        finally:
            ledger.close()

    def _do(
        self,
        ledger: Ledger,
        claimed: tuple[str, int],
        spec: RunSpec,
        watcher: Watcher,
        stop: "_Stop",
    ) -> None:
        run_id, attempt = claimed
        folder = self._fresh_folder(spec, attempt)
        watcher.started(spec)
        with _Heartbeat(self.directory / LEDGER_FILE, run_id, attempt):
            result = run_one(
                spec,
                folder,
                on_begin=stop.watch,
                on_step=lambda env: watcher.stepped(spec, env),
                gate=self._gate(spec),
            )
        if stop.closed:
            raise InterruptedError(f"run {run_id} was stopped")

        def write() -> None:
            write_result(folder, result)
            _append_line(self.directory / RESULTS_FILE, result.model_dump_json())

        if ledger.finish(run_id, attempt, write=write):
            watcher.finished(spec, result)

    def _gate(self, spec: RunSpec) -> Gate:
        """Runs on one account share its limits."""
        provider = (spec.model or "").partition(":")[0]
        with self._lock:
            return self._gates.setdefault((provider, spec.base_url), Gate())

    def _fresh_folder(self, spec: RunSpec, attempt: int) -> Path:
        """Set aside what an earlier attempt left, so that a run has one trajectory."""
        folder = self.directory / spec.run_id
        if folder.exists() and {p.name for p in folder.iterdir()} - {RUN_FILE}:
            aside = self.directory / "unfinished" / f"{spec.run_id}.{attempt - 1}"
            _make(aside.parent)
            folder.rename(aside)
        _make(folder)
        if not (folder / RUN_FILE).exists():
            write_json(folder / RUN_FILE, planned_record(spec))
        return folder

    def _rebuild_results(self, results: Sequence[RunResult]) -> None:
        """Make `results.jsonl` say what the directories say."""
        path = self.directory / RESULTS_FILE
        lines = [r.model_dump_json() + "\n" for r in results]
        if not lines and not path.exists():
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text("".join(lines), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error


class _Stop:
    """Asks workers to take no further run (`asked`); `now` also closes those in progress."""

    def __init__(self) -> None:
        self.asked = False
        self.closed = False
        self._envs: list[TaskEnv] = []

    def watch(self, env: "TaskEnv") -> None:
        self._envs.append(env)

    def now(self) -> None:
        self.asked = self.closed = True
        for env in self._envs:
            env.close_forks()
            env.close()


class _Workers:
    """Runs a function in threads; the first error, or Ctrl-C, stops them all and is raised."""

    def __init__(self, count: int, work: Callable[[_Stop], None]) -> None:
        self._stop = _Stop()
        self._work = work
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def run(self) -> None:
        for thread in self._threads:
            thread.start()
        try:
            for thread in self._threads:
                while thread.is_alive() and not self._errors:
                    thread.join(0.1)  # short, so that Ctrl-C is heard
        except BaseException:
            self._stop.now()
            self._join(5.0)
            raise
        self._join(None)
        if self._errors:
            raise self._errors[0]

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as error:  # noqa: BLE001 - raised again by run()
            self._errors.append(error)
            self._stop.asked = True

    def _join(self, timeout_s: float | None) -> None:
        for thread in self._threads:
            thread.join(timeout_s)


class _Heartbeat:
    """Renews a lease while a run is in progress."""

    def __init__(self, path: Path, run_id: str, attempt: int) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, args=(path, run_id, attempt), daemon=True
        )

    def _beat(self, path: Path, run_id: str, attempt: int) -> None:
        while not self._stop.wait(_RENEW_S):
            ledger = Ledger(path)
            try:
                ledger.renew(run_id, attempt)
            finally:
                ledger.close()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def read_campaign(directory: Path) -> Campaign:
    """Open the output directory of an earlier `run`.

    Raises:
        RunDirectoryError: There is none.
    """
    if not directory.is_dir() or not any(directory.glob(f"*/{RUN_FILE}")):
        raise RunDirectoryError(
            f"{directory} holds no runs; give the directory that `agentbench run --out` wrote"
        )
    return Campaign(directory)


def _read_spec(path: Path) -> RunSpec:
    try:
        return RunSpec.model_validate(json.loads(path.read_text(encoding="utf-8"))["spec"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise RunDirectoryError(
            f"{path} does not say what was to be run: {str(error).splitlines()[0]}"
        ) from error


def _read_result(path: Path) -> RunResult:
    try:
        return RunResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunDirectoryError(f"{path} is no result: {str(error).splitlines()[0]}") from error


def _append_line(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"cannot create {folder}: {error.strerror}") from error
