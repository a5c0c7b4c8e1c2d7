"""A leader: a child of the supervisor that runs one request after another and owns its processes.

It is a subreaper, so whatever a command detaches comes back to it and can be ended with it, while
the commands of other leaders live on.
"""

from __future__ import annotations

import os
import signal

from agentbench_sandbox.guest.cells import Session
from agentbench_sandbox.guest.command import ATTEMPTS, Command
from agentbench_sandbox.guest.confine import PR_SET_CHILD_SUBREAPER, prctl
from agentbench_sandbox.guest.deputy import Deputy, appoint
from agentbench_sandbox.guest.processes import Children, Counter, kill_tree
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
        self.wakeup = -1
        self.oom_counter = Counter(config["oom_counters"], b"oom_kill")
        self.pids_counter = Counter(config["pids_counters"], b"max")
        self.pids_limit = min(
            config["watch"].get("pids", float("inf")), self.pids_counter.beside("pids.max")
        )

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed for memory."""
        return self.oom_counter.read()

    def pids_refused(self) -> int:
        """Return how many forks the kernel has refused."""
        return self.pids_counter.read()


def lead(fd: int, setting: Setting) -> None:
    """Serve requests until the supervisor closes the socket, then end every process of ours."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    setting.confinement.join_groups()
    setting.wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, wake_up)
    link = Link(fd)
    deputy: Deputy | None = None
    try:
        while True:
            deputy = deputy or appoint(link, setting)
            request, body = link.receive()
            op = request["op"]
            if op == "exec":
                deputy, free = run_command(deputy, link, request, body, setting)
                if not free:
                    return
            elif op == "kernel":
                if deputy is not None:
                    deputy.dismiss()
                Session(link, request, setting).serve()
                return
            elif op in ("read", "write", "mkdir", "tree"):
                deputy = do_transfer(deputy, link, request, body, setting)
                link.send({"id": request["id"], "op": "idle", "idle": True})
    except (EOFError, OSError, WireError):
        pass
    finally:
        kill_tree(os.getpid(), Children())


def run_command(
    deputy: Deputy | None, link: Link, request: Header, body: bytes, setting: Setting
) -> tuple[Deputy | None, bool]:
    """Run a command, and stay with what it leaves running.

    Returns the deputy that is left, and whether this leader is free for the next request.
    """
    as_agent = "user" not in request
    command = Command(link, request, body, setting, deputy if as_agent else None)
    if deputy is not None and not as_agent:
        deputy.dismiss()  # the command's tree is all that is below this leader
    header, output = command.run()
    kept = header["background"] > 0
    if not as_agent:
        command.lose_deputy()  # no other command may run as its user
    send_in_parts(link, {**header, "idle": not kept}, output)
    if kept:
        command.keep_background()
    for pipe in command.pipes:
        os.close(pipe)
    return command.deputy, not kept


def send_in_parts(link: Link, header: Header, body: bytes) -> None:
    """Send a last frame whose body may be larger than one frame may carry."""
    rest = memoryview(body)
    while len(rest) > CHUNK:
        link.send({"id": header["id"], "op": "part"}, rest[:CHUNK])
        rest = rest[CHUNK:]
    link.send(header, rest)


def do_transfer(
    deputy: Deputy | None, link: Link, request: Header, body: bytes, setting: Setting
) -> Deputy | None:
    """Let a deputy do a transfer, which it reports itself; return the deputy that is left.

    Raises `EOFError` when it dies at it: the stream may have ended within a frame, and only the
    end of this leader says so.
    """
    for _ in range(ATTEMPTS):
        deputy = deputy or appoint(link, setting)
        if deputy is None:
            break
        if deputy.hand_over(request, body):
            answer = deputy.answer(setting.wakeup)
            if answer is None:
                raise EOFError
            if answer[0] == 0:
                return deputy
        deputy.dismiss()
        deputy = None
    reason = {"error": "os", "errno": 11, "message": "no process can be made for the transfer"}
    link.send({"id": request["id"], "op": "end", **reason})
    return None
