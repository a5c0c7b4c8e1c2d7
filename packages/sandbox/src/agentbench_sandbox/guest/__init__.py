"""The program that runs inside a sandbox: standard-library Python 3.9+, sent over the stream.

The modules here import nothing but the standard library and one another. `program` joins them, in
the order of `MODULES`, into the one source text that becomes PID 1.
"""

import ast
import marshal
from functools import cache
from importlib.resources import files
from importlib.util import MAGIC_NUMBER

MODULES = (
    "wire",
    "confine",
    "processes",
    "transfer",
    "capture",
    "deputy",
    "command",
    "cells",
    "leader",
    "tunnels",
    "disk",
    "watchdog",
    "supervisor",
)
BOOT = """\
import os
def take(n):
    b = b""
    while len(b) < n:
        c = os.read(0, n - len(b))
        if not c:
            os._exit(0)
        b += c
    return b
magic, code, text = (take(int.from_bytes(take(4), "big")) for _ in range(3))
try:
    from _frozen_importlib_external import MAGIC_NUMBER
except ImportError:
    MAGIC_NUMBER = None
if magic == MAGIC_NUMBER:
    import marshal
    text = marshal.loads(code)
else:
    text = compile(text, "supervisor", "exec")
exec(text, {"__name__": "agentbench_supervisor"})
"""
"""What PID 1 is started with, as `python3 -I -S -c BOOT`: it reads the program from its stdin."""


@cache
def source() -> str:
    """Return the supervisor as one source text: the modules joined, their own imports dropped."""
    lines = ["from __future__ import annotations\n"]
    for name in MODULES:
        text = (files(__name__) / f"{name}.py").read_text(encoding="utf-8")
        dropped = {
            number
            for node in ast.parse(text).body
            if isinstance(node, ast.ImportFrom)
            and (node.module == "__future__" or str(node.module).startswith(__name__))
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        numbered = enumerate(text.splitlines(keepends=True), start=1)
        lines += [line for number, line in numbered if number not in dropped]
    return "".join([*lines, "main()\n"])


@cache
def program() -> bytes:
    """Return the bytes `BOOT` expects: a magic number, code, source text; each after its length.

    Marshalled code starts about 20 ms sooner, but only an interpreter of the same magic number, of
    the same minor version that is, can read it. The others compile the text.
    """
    text = source()
    code = marshal.dumps(compile(text, "supervisor", "exec"))
    parts = (MAGIC_NUMBER, code, text.encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


@cache
def cell_program() -> str:
    """Return the source of the program that runs the cells of a persistent Python session."""
    return (files(__name__) / "session.py").read_text(encoding="utf-8")
