"""The host's Python, seen as something to show inside a local sandbox."""

import os
import sys
from functools import cache
from pathlib import Path

from agentbench_sandbox.errors import SandboxUnavailableError

SYSTEM = tuple(Path(path) for path in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"))


def prefixes() -> tuple[Path, ...]:
    """Return the directories the running interpreter lives in, outermost first, without /usr.

    Raises:
        SandboxUnavailableError: One of them is the root or a home directory, so that showing it
            would show everything.
    """
    executable = Path(sys.executable).resolve()
    found = {Path(sys.prefix), Path(sys.base_prefix), executable.parent.parent}
    found |= {path.resolve() for path in found}
    kept: list[Path] = []
    for path in sorted(found):
        if any(path.is_relative_to(root) for root in (*SYSTEM, *kept)):
            continue
        if path in (Path("/"), Path.home(), Path.home().resolve()):
            raise SandboxUnavailableError(
                f"the Python prefix {path} would show all of it inside a local sandbox; "
                "run from a virtual environment, or use Docker"
            )
        kept.append(path)
    return tuple(kept)


def import_roots() -> tuple[Path, ...]:
    """Return every site-packages and dist-packages directory that is visible inside."""
    found: set[Path] = set()
    bases = [*prefixes(), Path(sys.prefix), Path(sys.base_prefix), Path("/usr"), Path("/usr/local")]
    for base in bases:
        for pattern in ("lib*/python3*/site-packages", "lib*/python3*/dist-packages"):
            found |= set(base.glob(pattern))
    return tuple(sorted({path.resolve() for path in found}))


def hidden_paths(hide: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the existing paths, links resolved, that `hide` names below the import roots."""
    found: set[Path] = set()
    for relative in hide:
        for root in import_roots():
            path = root / relative
            if os.path.lexists(path):
                found |= {path, path.resolve()}
    return tuple(sorted(found))


@cache
def is_compiled() -> bool:
    """Whether nine in ten installed packages have bytecode beside their source.

    pip leaves it there, uv does not unless told to (`uv sync --compile-bytecode`). Inside, the
    source is read-only, so that without it every start would compile what it imports again.
    """
    tag = sys.implementation.cache_tag
    packages = [
        package
        for root in import_roots()
        for package in root.iterdir()
        if (package / "__init__.py").is_file()
    ]
    compiled = sum((p / f"__pycache__/__init__.{tag}.pyc").is_file() for p in packages)
    return compiled >= 0.9 * len(packages)


def search_path() -> str:
    """Return the PATH inside: the interpreter's own programs first."""
    places = [str(Path(sys.executable).parent), f"{sys.prefix}/bin"]
    places += ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"]
    return ":".join(dict.fromkeys(places))
