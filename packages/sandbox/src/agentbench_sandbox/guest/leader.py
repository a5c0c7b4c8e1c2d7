"""A leader: a child of the supervisor that runs one request after another and owns its processes.

It is a subreaper, so whatever a command detaches comes back to it and can be ended with it, while
the commands of other leaders live on.
"""

from __future__ import annotations

import os
import signal

from agentbench_sandbox.guest.cells import Session
from agentbench_sandbox.guest.command import Command, fork_patiently
from agentbench_sandbox.guest.confine import PR_SET_CHILD_SUBREAPER, prctl
from agentbench_sandbox.guest.processes import Children, kill_tree, read_counter
from agentbench_sandbox.guest.transfer import Transfer
from agentbench_sandbox.guest.wire import CHUNK, Link, WireError

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from agentbench_sandbox.guest.confine import Confinement
    from agentbench_sandbox.guest.wire import Header


def wake_up(number: int, frame: object) -> None:
    """Do nothing: the wake-up descriptor tells the loop that a child has ended."""


class Setting:
    """What every request of this sandbox has in common."""

    def __init__(self, config: Header, confinement: Confinement) -> None:
        self.env = config["env"]
        self.workdir = config["workdir"]
        self.grace_s = config["grace_s"]
        self.python = config["python"]
        self.cell_program = config["cell_program"]
        self.confinement = confinement
        self.pids_limit = config["watch"].get("pids", float("inf"))
        self.wakeup = -1
        self.oom_counters = [path for path in config["oom_counters"] if os.path.exists(path)]
        self.pids_counters = [path for path in config["pids_counters"] if os.path.exists(path)]

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed for memory."""
        return read_counter(self.oom_counters, "oom_kill")

    def pids_refused(self) -> int:
        """Return how many forks the kernel has refused."""
        return read_counter(self.pids_counters, "max")

    children = Children


def do_transfer(link: Link, request: Header, body: bytes, setting: Setting) -> Header | None:
    """Let a child that has become the agent do the transfer; return the last frame's header."""
    pid = fork_patiently()
    if pid is None:
        return {
            "id": request["id"],
            "op": "end",
            "error": "os",
            "errno": 11,
            "message": "process limit reached",
        }
    if pid == 0:
        code = 1
        try:
            setting.confinement.enter()
            link.send(Transfer(link, request, body, setting).run())
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status:
        return {
            "id": request["id"],
            "op": "end",
            "error": "os",
            "errno": 5,
            "message": "the transfer was ended",
        }
    return None


def lead(fd: int, setting: Setting) -> None:
    """Serve requests until the supervisor closes the socket, then end every process of ours."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    setting.confinement.join_groups()
    setting.wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, wake_up)
    link = Link(fd)
    try:
        while True:
            request, body = link.receive()
            op = request["op"]
            if op == "exec":
                command = Command(link, request, body, setting)
                header, output = command.run()
                output = memoryview(output)
                kept = header["background"] > 0
                while len(output) > CHUNK:
                    link.send({"id": header["id"], "op": "part"}, output[:CHUNK])
                    output = output[CHUNK:]
                link.send({**header, "idle": not kept}, output)
                if kept:
                    command.keep_background()
                    return
                for pipe in command.pipes:
                    os.close(pipe)
            elif op == "kernel":
                Session(link, request, setting).serve()
                return
            elif op in ("read", "write", "mkdir", "tree"):
                header = do_transfer(link, request, body, setting)
                if header is not None:
                    link.send(header)
                    return
                link.send({"id": request["id"], "op": "idle", "idle": True})
    except (EOFError, OSError, WireError):
        pass
    finally:
        kill_tree(os.getpid(), Children())
