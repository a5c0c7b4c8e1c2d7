"""What is the host's: files, variables, sockets, processes and memory stay out of reach."""

from agentbench_sandbox.sandbox import Sandbox
from agentbench_sandbox.testing.case import Case, assert_alive, needs, py, sh


@needs("network_isolated", "python")
def host_sockets_cannot_be_reached(sandbox: Sandbox) -> None:
    """Unix sockets of the host, by path or abstract, are out of reach."""
    import socket
    import tempfile

    with (
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
        tempfile.TemporaryDirectory() as place,
    ):
        named.bind(f"{place}/socket")
        named.listen()
        abstract.bind(b"\0agentbench-sandbox-test")
        abstract.listen()
        log.bind(f"{place}/log")
        code = (
            "import socket\n"
            f"for where in ({place + '/log'!r}, '/dev/log'):\n"
            "    for make in (socket.socket, lambda *kind: socket.socketpair(*kind)[0]):\n"
            "        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):\n"
            "            try: make(socket.AF_UNIX, kind).sendto(b'x', where); print('SENT', where)\n"
            "            except OSError: pass\n"
            "socket.socketpair()\n"
            f"for where in ({place + '/socket'!r}, b'\\0agentbench-sandbox-test',\n"
            "              '/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock'):\n"
            "    try: socket.socket(socket.AF_UNIX).connect(where); print('REACHED', where)\n"
            "    except OSError: pass\n"
        )
        result = py(sandbox, code)
        assert (result.stdout, result.stderr) == ("", "")


@needs("isolated")
def host_files_are_invisible(sandbox: Sandbox) -> None:
    """Home, the current directory, logs, keys and other users' files are not there."""
    import os
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as place:
        secret = Path(place, "secret")
        secret.write_text("agentbench-planted-secret")
        places = [secret, Path.cwd(), Path("/etc/shadow"), Path("/root/.bashrc"), Path("/var/log")]
        places += [Path("/home"), Path("/etc/hostname"), Path("/boot"), Path("/srv")]
        for path in places:
            script = f"cat {path} 2>/dev/null; test -d {path} && ls -A {path} 2>/dev/null"
            seen = sh(sandbox, script).stdout
            assert "planted" not in seen
            if sandbox.backend != "docker" and path != Path.cwd():
                assert seen == "", (path, seen)
        assert os.environ.get("HOME", "/root") not in sh(sandbox, "echo $HOME").stdout


def host_environment_is_absent(sandbox: Sandbox) -> None:
    """No variable of the host process is seen by any process inside."""
    import os

    os.environ["AGENTBENCH_TEST_API_KEY"] = "agentbench-planted-secret"
    try:
        script = (
            "env; cat /proc/self/environ /proc/1/environ /proc/[0-9]*/environ 2>/dev/null; true"
        )
        where = script if sandbox.capabilities.private_processes else "env"
        assert "planted" not in sh(sandbox, where).stdout
        kept = {"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "TMPDIR", "PWD", "OLDPWD"}
        names = {line.partition("=")[0] for line in sh(sandbox, "env").stdout.splitlines()}
        leaked = {name for name in names & set(os.environ) - kept if "PYTHON" not in name}
        assert leaked == set()
    finally:
        del os.environ["AGENTBENCH_TEST_API_KEY"]


@needs("private_processes")
def host_processes_are_invisible(sandbox: Sandbox) -> None:
    """The process table holds the sandbox's own processes only."""
    import os

    listing = sh(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert "pytest" not in listing
    assert int(sh(sandbox, "ls -d /proc/[0-9]* | wc -l").stdout) < 20
    assert not sh(sandbox, f"kill -0 {os.getpid()} && test -d /proc/{os.getpid()}").ok


@needs("signals_isolated", "python")
def host_processes_cannot_be_signalled(sandbox: Sandbox) -> None:
    """This process and its parent cannot be reached by kill."""
    import os

    for pid in (os.getpid(), os.getppid()):
        code = f"import os\ntry: os.kill({pid}, 0); print('reached', open('/proc/{pid}/comm').read())\n"
        result = py(sandbox, code + "except OSError as e: print(e.errno)")
        assert result.stdout.strip() in ("1", "3", "2"), result


@needs("signals_isolated", "python")
def other_processes_cannot_be_hampered(sandbox: Sandbox) -> None:
    """Limits, priority, scheduling and CPUs of the host process and the supervisor stay theirs."""
    import os
    import resource

    pids = (1, os.getpid(), os.getppid())
    before = [resource.prlimit(os.getpid(), kind) for kind in range(16)]
    code = (
        "import os, resource\n"
        f"for pid in {pids}:\n"
        "    for attempt in (\n"
        "        lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64)),\n"
        "        lambda: resource.prlimit(pid, resource.RLIMIT_NPROC, (1, 1)),\n"
        "        lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),\n"
        "        lambda: os.setpriority(os.PRIO_USER, 0, 19),\n"
        "        lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),\n"
        "        lambda: os.sched_setaffinity(pid, {0}),\n"
        "        lambda: open(f'/proc/{pid}/oom_score_adj', 'w').write('1000'),\n"
        "    ):\n"
        "        try: attempt(); print('DONE', pid)\n"
        "        except OSError: pass\n"
        "os.nice(1); os.setpriority(os.PRIO_PROCESS, 0, 5)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); print('own')"
    )
    result = py(sandbox, code)
    assert result.stdout == "own\n", result
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) < 19
    assert [resource.prlimit(os.getpid(), kind) for kind in range(16)] == before
    assert_alive(sandbox)


@needs("isolated", "python")
def host_memory_segments_are_out_of_reach(sandbox: Sandbox) -> None:
    """System V segments of the host that anybody may read cannot be found or attached."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = int(libc.shmget(0, 4096, 0o1666))
    assert segment >= 0
    try:
        ctypes.memmove(libc.shmat(segment, None, 0), b"planted", 7)
        code = (
            "import ctypes\nl = ctypes.CDLL(None); l.shmat.restype = ctypes.c_void_p\n"
            f"for n in [*range(32), {segment}]:\n"
            "    place = l.shmat(n, None, 0o10000)\n"
            "    if place not in (None, ctypes.c_void_p(-1).value):\n"
            "        print(ctypes.string_at(place, 7))\n"
        )
        assert py(sandbox, code).stdout == ""
    finally:
        libc.shmctl(segment, 0, None)


TRESPASS: tuple[Case, ...] = (
    host_sockets_cannot_be_reached,
    host_files_are_invisible,
    host_environment_is_absent,
    host_processes_are_invisible,
    host_processes_cannot_be_signalled,
    other_processes_cannot_be_hampered,
    host_memory_segments_are_out_of_reach,
)
