"""The program that runs inside a sandbox: standard-library Python 3.8+, sent over the stream.

The modules here import nothing but the standard library and one another. `program` joins them, in
the order of `MODULES`, into the one source text that becomes PID 1.
"""

import ast
import marshal
from functools import cache
from importlib.resources import files

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
size, kind = int.from_bytes(take(4), "big"), take(1)
text = take(size)
if kind == b"m":
    import marshal
    text = marshal.loads(text)
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
def program(*, same_interpreter: bool) -> bytes:
    """Return the bytes `BOOT` expects: a length, a kind, and source text or marshalled code.

    Marshalled code starts about 15 ms sooner but only the interpreter that wrote it can read it.
    """
    text = source()
    if not same_interpreter:
        body = text.encode()
        return len(body).to_bytes(4, "big") + b"s" + body
    body = marshal.dumps(compile(text, "supervisor", "exec"))
    return len(body).to_bytes(4, "big") + b"m" + body


@cache
def cell_program() -> str:
    """Return the source of the program that runs the cells of a persistent Python session."""
    return (files(__name__) / "session.py").read_text(encoding="utf-8")
