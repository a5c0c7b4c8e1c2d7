"""The agent's working directory in a sandbox: programs go in, submissions come out."""

import copy
import csv
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentbench_agents.errors import LeakError, WorkspaceError

if TYPE_CHECKING:
    from agentbench_sandbox import ExecResult, Sandbox

SUBMISSION = "submission.csv"
DATA = "/data"
_SAMPLE_ROWS = 200
_SAMPLE_BYTES = 20_000_000

# Runs inside the sandbox: what an agent wrote is not even parsed on the host.
_CHECK = """\
import ast, importlib.util, sys
source = open(sys.argv[1], encoding="utf-8").read()
try:
    tree = ast.parse(source, "code")
    compile(tree, "code", "exec")
except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
roots = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
roots |= {
    n.module.split(".")[0]
    for n in ast.walk(tree)
    if isinstance(n, ast.ImportFrom) and n.module and not n.level
}
missing = sorted(r for r in roots if importlib.util.find_spec(r) is None)
if missing:
    sys.exit("ModuleNotFoundError: not installed here: " + ", ".join(missing))
"""


# Prints the first file that can be read below the given paths under any import root. A back end
# without mounts (Landlock) hides contents and not names, so names alone prove nothing.
_READABLE = """\
import os, sys
def files(path):
    yield path
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names)
for root in sys.path:
    for name in sys.argv[1:]:
        for path in files(os.path.join(root, name)):
            try:
                with open(path, "rb"):
                    sys.exit(print(path))
            except OSError:
                pass
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRun:
    """What running a program gave.

    Attributes:
        stage: How far it came: `syntax` (did not compile or import), `run` (was run).
        result: Output, exit code and times of the command.
        submission: Bytes of the submission.csv that this very run wrote, if it ended well.
        problem: Why a submission.csv that is there cannot be read, or None.
        timeout_s: The time limit it had.
    """

    stage: str
    result: "ExecResult"
    timeout_s: float
    problem: str | None = None
    submission: bytes | None

    @property
    def ok(self) -> bool:
        """Whether the program ended with exit code 0 in time."""
        return self.result.ok


class Workspace:
    """Owns a sandbox; `open_` makes a fresh one with the public data at `DATA`.

    Inside, the working directory holds `input`, a link to the public data, so that programs may
    say `input/train.csv` wherever the back end puts the data.
    """

    def __init__(self, open_: "Callable[[], Sandbox]", public: Path) -> None:
        self._open = open_
        self._public = public
        self.sandbox = open_()
        self._has_sample = False
        self._runs = 0
        try:
            self._link_data()
        except BaseException:
            self.sandbox.close()
            raise

    @property
    def data_path(self) -> str:
        """Where the public data is, seen from inside."""
        return self.sandbox.path(DATA)

    @property
    def output_path(self) -> str:
        """Where the submission must be written, seen from inside."""
        return f"{self.sandbox.workdir}/{SUBMISSION}"

    def run(self, code: str, *, timeout_s: float) -> CodeRun:
        """Run a program in the working directory; no earlier submission.csv is in its way.

        Raises:
            WorkspaceError: The agent has left the directory so that nothing can run in it.
        """
        with _own_doing():
            return self._run(code, timeout_s)

    def check(self, code: str, *, timeout_s: float) -> CodeRun:
        """Compile a program, look up its imports, and run it on a sample of the data.

        Raises:
            WorkspaceError: As `run`.
        """
        with _own_doing():
            return self._check(code, timeout_s)

    def _run(self, code: str, timeout_s: float) -> CodeRun:
        self._runs += 1
        name = f"solution_{self._runs}.py"
        self._must("rm", "-rf", "--", SUBMISSION)
        self.sandbox.write_file(f"{self.sandbox.workdir}/{name}", _encode(code))
        return self._start(name, self.sandbox.workdir, timeout_s)

    def _check(self, code: str, timeout_s: float) -> CodeRun:
        directory = f"{self.sandbox.workdir}/.check"
        self._prepare_sample(directory)
        self.sandbox.write_file(f"{directory}/code.py", _encode(code))
        result = self.sandbox.exec(
            ["python", "-c", _CHECK, "code.py"], timeout_s=timeout_s, cwd=directory
        )
        if not result.ok:
            return CodeRun(stage="syntax", result=result, submission=None, timeout_s=timeout_s)
        self._must("rm", "-rf", "--", f".check/{SUBMISSION}")
        return self._start("code.py", directory, timeout_s)

    def run_on(self, data: Path, code: str, *, timeout_s: float) -> CodeRun:
        """Run a program in a fresh directory where `input` is a copy of `data`, a host's folder.

        Raises:
            WorkspaceError: As `run`.
        """
        directory = f"{self.sandbox.workdir}/.other"
        with _own_doing():
            self._must("rm", "-rf", "--", ".other")
            self._must("mkdir", "-p", ".other")
            self.sandbox.upload(data, f"{directory}/input")
            self.sandbox.write_file(f"{directory}/code.py", _encode(code))
            return self._start("code.py", directory, timeout_s)

    def clear(self) -> None:
        """Replace the sandbox by a fresh one."""
        self.sandbox.close()
        self.sandbox = self._open()
        self._has_sample = False
        self._link_data()

    def fork(self) -> "Workspace":
        """Return a workspace with a copy of the working directory, in a sandbox of its own.

        Raises:
            WorkspaceError: The agent has left the directory so that it cannot be copied.
        """
        twin = copy.copy(self)
        with _own_doing():
            twin.sandbox = self.sandbox.fork()
        return twin

    def close(self) -> None:
        """Close the sandbox and everything in it."""
        self.sandbox.close()

    def _link_data(self) -> None:
        self._must("ln", "-sfn", self.data_path, "input")

    def _start(self, name: str, directory: str, timeout_s: float) -> CodeRun:
        """Run a file; what it leaves running would write the submission of another program."""
        from agentbench_sandbox import SandboxFileNotFoundError

        result = self.sandbox.exec(
            ["python", name], timeout_s=timeout_s, cwd=directory, end_background=True
        )
        submission = problem = None
        if result.ok:
            try:
                submission = self.sandbox.read_file(f"{directory}/{SUBMISSION}")
            except SandboxFileNotFoundError:
                pass
            except _file_errors() as error:
                problem = f"{SUBMISSION} cannot be read: {error}"
        return CodeRun(
            stage="run", result=result, submission=submission, problem=problem, timeout_s=timeout_s
        )

    def _prepare_sample(self, directory: str) -> None:
        if self._has_sample:
            return
        with tempfile.TemporaryDirectory(prefix="agentbench-sample-") as temporary:
            sample = Path(temporary) / "input"
            sample_public(self._public, sample)
            self._must("rm", "-rf", "--", ".check")
            self._must("mkdir", "-p", ".check")
            self.sandbox.upload(sample, f"{directory}/input")
        self._has_sample = True

    def _must(self, *argv: str) -> None:
        self.sandbox.exec(argv, timeout_s=30, cwd=self.sandbox.workdir, check=True)


def _file_errors() -> tuple[type[Exception], ...]:
    """What reading or writing a file raises when an agent has put something odd in its place."""
    from agentbench_sandbox import (
        SandboxFileError,
        SandboxFileNotFoundError,
        SandboxIsADirectoryError,
        SandboxPermissionError,
        TransferLimitError,
    )

    return (
        SandboxFileError,
        SandboxFileNotFoundError,
        SandboxIsADirectoryError,
        SandboxPermissionError,
        TransferLimitError,
    )


@contextmanager
def _own_doing() -> Generator[None]:
    """Tell what an agent did to its own sandbox from a failing provider."""
    from agentbench_sandbox import ExecFailedError, ExecTimeoutError

    try:
        yield
    except (ExecFailedError, ExecTimeoutError, *_file_errors()) as error:
        raise WorkspaceError(
            f"nothing can run in the working directory ({error}); the action reset makes a new one"
        ) from error


def sample_public(public: Path, target: Path) -> None:
    """Copy the first rows of each table and, up to 20 MB, the other files of a public folder."""
    target.mkdir(parents=True)
    left = _SAMPLE_BYTES
    for source in sorted(p for p in public.rglob("*") if p.is_file()):
        copy = target / source.relative_to(public)
        if source.suffix == ".csv":
            copy.parent.mkdir(parents=True, exist_ok=True)
            _copy_rows(source, copy)
        elif source.stat().st_size <= left:
            left -= source.stat().st_size
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def verify_hidden(sandbox: "Sandbox", hide: tuple[str, ...]) -> None:
    """Look inside for data that the task was made from.

    Raises:
        LeakError: A file below a path in `hide`, relative to an import root, can be read inside.
    """
    if not hide:
        return
    result = sandbox.exec(["python", "-c", _READABLE, *hide], timeout_s=60, check=True)
    found = result.stdout.split("\n")[0]
    if found:
        raise LeakError(
            f"the sandbox holds {found}, from which the answers of this task could be read; "
            "use an image without it (agentbench-sandbox build) or --sandbox local"
        )


def _copy_rows(source: Path, target: Path) -> None:
    with (
        source.open(newline="", encoding="utf-8", errors="surrogateescape") as reader,
        target.open("w", newline="", encoding="utf-8", errors="surrogateescape") as writer,
    ):
        out = csv.writer(writer)
        for number, row in enumerate(csv.reader(reader)):
            if number > _SAMPLE_ROWS:
                break
            out.writerow(row)


def _encode(code: str) -> bytes:
    return code.encode("utf-8", errors="surrogatepass")
