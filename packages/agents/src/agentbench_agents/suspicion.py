"""What in a method's source looks like an attack: read, never run, and reported, never punished.

The protocol makes attacks useless; this says that somebody tried. It reads the syntax tree of the
method files that differ from the starter repository, so what is hidden well (built from pieces at
run time, say) is not seen, and what is found can be harmless.
"""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MODULES = {
    "socket": "talks to the network",
    "http": "talks to the network",
    "urllib": "talks to the network",
    "requests": "talks to the network",
    "subprocess": "starts processes",
    "multiprocessing": "starts processes",
    "ctypes": "runs native code",
    "cffi": "runs native code",
    "signal": "handles signals",
    "pickle": "uses pickles",
    "marshal": "uses pickles",
    **dict.fromkeys(("importlib", "imp", "runpy", "pkgutil", "zipimport"), "imports by name"),
    **dict.fromkeys(
        ("builtins", "gc", "inspect", "site", "atexit"), "reaches into the interpreter"
    ),
    **dict.fromkeys(("base64", "binascii", "zlib", "bz2", "lzma"), "unpacks data"),
    "agentbench_tasks": "imports the benchmark",
    "agentbench_scoring": "imports the benchmark",
    "agentbench_agents": "imports the benchmark",
}
_CALLS = {
    **dict.fromkeys(("fork", "forkpty", "system", "popen", "posix_spawn"), "starts processes"),
    **dict.fromkeys(("kill", "killpg", "abort", "_exit"), "ends processes"),
    **dict.fromkeys(("setuid", "setgid", "setsid", "setns", "unshare"), "changes its rights"),
    **dict.fromkeys(("clock_settime", "settimeofday"), "sets the clock"),
    **dict.fromkeys(("symlink", "link", "rename", "replace", "mkfifo", "rmdir"), "moves or links"),
    **dict.fromkeys(("walk", "glob", "iglob", "rglob", "scandir", "listdir"), "looks for files"),
    **dict.fromkeys(("write_array_header_1_0", "truncate"), "writes files by hand"),
    **dict.fromkeys(("settrace", "setprofile"), "changes the interpreter"),
    **dict.fromkeys(("_getframe", "import_module"), "reaches into the interpreter"),
}
_BUILTINS = {
    **dict.fromkeys(("exec", "eval", "compile"), "runs text as code"),
    "__import__": "imports by name",
    **dict.fromkeys(("globals", "vars", "__builtins__"), "reaches into the interpreter"),
}
_NAMES = {
    "__reduce__": "uses pickles",
    "allow_pickle": "uses pickles",
    "environ": "reads the environment",
    "__doc__": "reads a docstring",
    **dict.fromkeys(("__subclasses__", "__globals__", "__code__"), "reaches into the interpreter"),
}
_PATHS = re.compile(
    r"/proc|/sys\b|/etc\b|/dev\b|/tmp\b|/usr|labels|private|seed\.json|result\.json|dev\.jsonl"
    r"|/train|/inputs|\.\./|main\.py|task\.py|evaluation|^outputs?\b|^big$|^state$"
)
_LARGE = 2000
_MOST = 20


@dataclass(frozen=True, slots=True)
class _Imports:
    """Names of a file: those of modules, and those taken from modules (name -> original)."""

    modules: frozenset[str]
    taken: Mapping[str, str]


def source_text(data: bytes) -> str:
    """Return a source file as Python reads it, by the encoding that it declares.

    With `coding: utf-7`, what looks like a comment can be code. Bytes that do not decode are
    replaced; Python would not run them.
    """
    try:
        return data.decode(_encoding(data))
    except (SyntaxError, UnicodeError, LookupError):
        return data.decode("utf-8", "replace")


def _encoding(data: bytes) -> str:
    return tokenize.detect_encoding(io.BytesIO(data).readline)[0]


def suspicions(files: Mapping[str, bytes], pristine: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return a sentence for each oddity, at most 20.

    Args:
        files: Method files by path.
        pristine: Those of the starter repository; equal files are not read.
    """
    found: dict[str, None] = {}
    for name, data in sorted(files.items()):
        if pristine.get(name) == data:
            continue
        try:
            if (encoding := _encoding(data)) not in ("utf-8", "utf-8-sig"):
                found[f"{name}: is written in {encoding[:40]}"] = None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(source_text(data))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found[f"{name}: is not Python"] = None
            continue
        for line, what in _oddities(tree):
            found.setdefault(f"{name}, line {line}: {what}")
    return tuple(list(found)[:_MOST])


def _oddities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    names = _imported(tree)
    texts = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for what in (*_imports(node), *_calls(node, names), *_changes(node, names)):
            yield line, what
        for what in _data(node, is_text=id(node) in texts):
            yield line, what


def _imports(node: ast.AST) -> Iterator[str]:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    for root in (name.split(".")[0] for name in names):
        if root in _MODULES:
            yield f"{_MODULES[root]} ({root})"


def _calls(node: ast.AST, names: _Imports) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Attribute(attr="replace") as func) if _base(func) != "os":
            return  # of a text, most likely
        case ast.Call(func=ast.Attribute(attr=str(name))) if name in _CALLS:
            yield f"{_CALLS[name]} ({name})"
        case ast.Call(func=ast.Name(id=name)) if names.taken.get(name) in _CALLS:
            yield f"{_CALLS[names.taken[name]]} ({names.taken[name]})"
        case ast.Call(func=ast.Name(id="open"), args=[_, ast.Constant(value=str(mode)), *_]):
            if set(mode) & set("wax+"):
                yield f"writes files by hand (open, {mode!r})"
        case ast.Call(func=ast.Name(id="setattr"), args=[target, *_]) if _base(target) in (
            names.modules
        ):
            yield f"changes the module {_base(target)}"
        case ast.Name(id=name) if name in _BUILTINS:
            yield f"{_BUILTINS[name]} ({name})"
        case ast.While(test=ast.Constant(value=True | 1)):
            if not any(isinstance(n, ast.Break | ast.Return) for n in ast.walk(node)):
                yield "loops without an end"
        case _:
            return


def _data(node: ast.AST, *, is_text: bool) -> Iterator[str]:
    """What a constant is suspected of; a text that stands by itself, such as a docstring, less."""
    match node:
        case ast.Constant(value=str(text)) if (
            not is_text and len(text) < _LARGE and _PATHS.search(text)
        ):
            yield f"names the path {text[:60]!r}"
        case ast.Constant(value=str() | bytes() as data) if len(data) >= _LARGE:
            yield f"holds a constant of {len(data)} bytes"
        case ast.List(elts=items) | ast.Tuple(elts=items) if len(items) >= _LARGE:
            yield f"holds a constant of {len(items)} items"
        case _:
            return


def _changes(node: ast.AST, names: _Imports) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from _changed(targets, names)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield from _changed([target], names)
        case ast.Attribute(attr=str(name)) if name in _NAMES:
            yield f"{_NAMES[name]} ({name})"
        case ast.keyword(arg=str(name)) | ast.FunctionDef(name=str(name)) if name in _NAMES:
            yield f"{_NAMES[name]} ({name})"
        case _:
            return


def _changed(targets: list[ast.expr], names: _Imports) -> Iterator[str]:
    for target in targets:
        if isinstance(target, ast.Attribute | ast.Subscript) and _base(target) in names.modules:
            yield f"changes the module {_base(target)}"


def _imported(tree: ast.Module) -> _Imports:
    modules: set[str] = set()
    taken: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] != "methods":
            taken |= {alias.asname or alias.name: alias.name for alias in node.names}
    return _Imports(frozenset(modules), taken)


def _base(target: ast.expr) -> str:
    node = target
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
