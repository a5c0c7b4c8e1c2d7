"""Errors become one sentence and an exit code: 1 error, 2 invalid input."""

import errno
import os
import sys
from collections.abc import Callable


def run_app(app: Callable[[], object]) -> None:
    """Call a Typer app; print what went wrong without a traceback."""
    try:
        app()
    except KeyboardInterrupt:
        fail("interrupted; what was finished is kept", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail(f"no space left on device{_where(error)}; free some and run again", 1)
        if not _known(error):
            fail(f"{error.strerror or error}{_where(error)}", 1)
        fail(str(error), _code(error))
    except Exception as error:
        if not _known(error):
            raise
        fail(str(error), _code(error))


def fail(message: str, code: int) -> None:
    """Print one line and exit."""
    line = " ".join(message.split())
    sys.stderr.write(f"error: {line}\n")
    sys.exit(code)


def _known(error: BaseException) -> bool:
    """Whether the error was written for people: it is one of the packages' own."""
    return any(c.__module__.startswith("agentbench_") for c in type(error).__mro__)


def _code(error: BaseException) -> int:
    """Invalid input is 2 (a wrong name, value or submission), everything else 1."""
    return 2 if isinstance(error, ValueError | LookupError) else 1


def _where(error: OSError) -> str:
    return f": {error.filename}" if error.filename else ""
