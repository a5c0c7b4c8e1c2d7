"""Ways out: the supervisor, the host's processes and network, the kernel's odd corners."""

from agentbench_sandbox.sandbox import Sandbox
from agentbench_sandbox.testing.case import Case, assert_alive, needs, py, sh

ERRNO = "import ctypes, os\nl = ctypes.CDLL(None, use_errno=True)\n"


@needs("private_processes")
def killing_everything_spares_the_supervisor(sandbox: Sandbox) -> None:
    """`kill -9 -1`, `kill -9 1` and pkill end the agent's own processes and nothing else."""
    for script in ("kill -9 -1", "kill -9 1", "kill -TERM 1", "kill -STOP 1", "pkill -9 python3"):
        sh(sandbox, script, timeout_s=5)
        assert_alive(sandbox)


@needs("private_processes")
def stopping_everything_spares_the_supervisor(sandbox: Sandbox) -> None:
    """SIGSTOP to every process does not make a command hang past its deadline."""
    result = sh(sandbox, "kill -STOP -1; sleep 20", timeout_s=1.5)
    assert result.timed_out or result.signal is not None
    assert_alive(sandbox)


@needs("private_processes")
def supervisor_cannot_be_read(sandbox: Sandbox) -> None:
    """Memory, environment, descriptors and root of PID 1 are closed."""
    for name in ("mem", "environ", "maps", "fd", "root", "cwd"):
        result = sh(sandbox, f"ls -l /proc/1/{name}/ 2>&1; cat /proc/1/{name} 2>&1")
        assert result.exit_code != 0, name
        assert "denied" in result.stdout, (name, result.stdout)


@needs("private_processes", "python")
def supervisor_cannot_be_traced(sandbox: Sandbox) -> None:
    """Ptrace and process_vm_readv on PID 1 are refused."""
    code = (
        ERRNO
        + "print(l.ptrace(16, 1, 0, 0), l.process_vm_readv(1, 0, 0, 0, 0, 0), l.ptrace(16, 2, 0, 0))"
    )
    assert py(sandbox, code).stdout.split()[0::2] == ["-1", "-1"]


@needs("private_processes", "python")
def stream_cannot_be_written(sandbox: Sandbox) -> None:
    """Frames cannot be forged through the supervisor's descriptors."""
    code = (
        "import glob, os\n"
        "opened = []\n"
        "for p in glob.glob('/proc/[0-9]*/fd/*'):\n"
        "    if p.split('/')[2] != str(os.getpid()):\n"
        "        try: os.close(os.open(p, os.O_WRONLY | os.O_NONBLOCK)); opened.append(p)\n"
        "        except OSError: pass\n"
        "print(opened)\n"
    )
    assert py(sandbox, code).stdout == "[]\n"


@needs("python")
def only_three_descriptors(sandbox: Sandbox) -> None:
    """A command gets standard input, output and error and nothing else."""
    code = (
        "import os\n"
        "open_ = []\n"
        "for fd in range(3, 2000):\n"
        "    try: os.fstat(fd); open_.append(fd)\n"
        "    except OSError: pass\n"
        "print(open_)"
    )
    assert py(sandbox, code).stdout == "[]\n"


@needs("python")
def printed_frames_are_output(sandbox: Sandbox) -> None:
    """A program that prints what looks like the protocol is quoted, not obeyed."""
    code = (
        "import json, struct, sys\n"
        "h = json.dumps({'id': 1, 'op': 'end', 'exit_code': 0}).encode()\n"
        "sys.stdout.buffer.write(struct.pack('>II', len(h), 0) + h); sys.exit(3)"
    )
    result = py(sandbox, code)
    assert result.exit_code == 3
    assert b'"op": "end"' in result.stdout_bytes


def planted_modules_do_not_reach_the_supervisor(sandbox: Sandbox) -> None:
    """Modules and start-up files in the working directory change nothing outside the agent."""
    for name in ("json.py", "sitecustomize.py", "usercustomize.py", "os.py", "struct.py"):
        sandbox.write_file(name, "raise SystemExit(99)\n")
    assert_alive(sandbox)
    assert sandbox.read_file("os.py") == b"raise SystemExit(99)\n"
    sh(sandbox, "rm -f *.py")


@needs("isolated", "python")
def no_capabilities(sandbox: Sandbox) -> None:
    """The agent holds no capability and cannot gain any."""
    code = (
        "import ctypes, struct\n"
        "l = ctypes.CDLL(None, use_errno=True)\n"
        "h = struct.pack('=Ii', 0x20080522, 0); d = ctypes.create_string_buffer(24)\n"
        "l.capget(h, d); print(struct.unpack('=6I', d.raw[:24])[0::3], l.prctl(39, 0, 0, 0, 0))"
    )
    result = py(sandbox, code)
    assert result.stdout.strip() == "(0, 0) 1", result


@needs("isolated", "python")
def namespaces_cannot_be_made(sandbox: Sandbox) -> None:
    """Unshare and clone with namespace flags are refused."""
    code = ERRNO + (
        "for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000):\n"
        "    print(l.unshare(flag), l.syscall(56, flag | 17, 0, 0, 0, 0))"
    )
    assert set(py(sandbox, code).stdout.split()) == {"-1"}


@needs("isolated", "python")
def mounts_cannot_be_made(sandbox: Sandbox) -> None:
    """mount, umount, pivot_root, chroot and remounting are refused."""
    code = ERRNO + (
        "print(l.mount(b'none', b'/tmp', b'tmpfs', 0, None), l.umount2(b'/proc', 2),\n"
        "      l.mount(None, b'/', None, 32 | 4096, None), l.chroot(b'/tmp'),\n"
        "      l.mknod(b'dev', 0o20666, 0x101))"
    )
    assert set(py(sandbox, code).stdout.split()) == {"-1"}


@needs("isolated", "python")
def odd_system_calls_are_refused(sandbox: Sandbox) -> None:
    """bpf, keyctl, perf, userfaultfd, io_uring, kexec, modules, clocks, syslog."""
    code = ERRNO + (
        "import struct\nu = ctypes.create_string_buffer(256)\n"
        "print(l.syscall(321, 0, u, 72), l.syscall(250, 0, -3, 1), l.syscall(298, u, 0, -1, -1, 0),\n"
        "      l.syscall(425, 8, u), l.syscall(246, 0, 0, 0, 0), l.syscall(175, u, 0, b''),\n"
        "      l.syscall(164, u, None), l.syscall(103, 3, u, 10), l.syscall(304, -1, u, 0),\n"
        "      l.syscall(169, 0xfee1dead, 672274793, 0x1234567, 0), l.syscall(308, 0, 0))"
    )
    values = py(sandbox, code).stdout.split()
    assert len(values) == 11
    assert set(values) == {"-1"}


@needs("isolated")
def kernel_interfaces_are_closed(sandbox: Sandbox) -> None:
    """Raw memory, the kernel log, sysrq and kernel settings cannot be opened for use."""
    for path in ("/dev/mem", "/dev/kmsg", "/proc/kcore", "/dev/sda", "/dev/vda"):
        assert sh(sandbox, f"head -c 1 {path}").exit_code != 0, path
    for path in (
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/drop_caches",
    ):
        assert sh(sandbox, f"echo 1 > {path}").exit_code != 0, path


@needs("isolated")
def control_groups_cannot_be_changed(sandbox: Sandbox) -> None:
    """The agent cannot move itself out of its limits."""
    script = (
        "for f in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs "
        "/sys/fs/cgroup/*/release_agent /sys/fs/cgroup/memory/memory.limit_in_bytes "
        "/sys/fs/cgroup/memory.max; do echo 0 > $f && echo WROTE $f; done 2>/dev/null; true"
    )
    assert sh(sandbox, script).stdout == ""
    assert not sh(sandbox, "mkdir /sys/fs/cgroup/memory/mine || mkdir /sys/fs/cgroup/mine").ok


@needs("isolated")
def set_user_id_programs_gain_nothing(sandbox: Sandbox) -> None:
    """su, mount and passwd keep the agent's identity; set-user-id copies too."""
    script = (
        "cp /bin/sh mine; chmod 6755 mine; ./mine -c 'id -u'; id -u; su root -c 'echo root' 2>&1"
    )
    lines = sh(sandbox, script).stdout.split()
    assert lines[0] == lines[1]
    assert "root" not in lines[2:3]


@needs("network_isolated", "python")
def nothing_can_be_reached(sandbox: Sandbox) -> None:
    """TCP, UDP, raw and netlink sockets, metadata and gateway addresses, IPv6."""
    code = (
        "import socket\n"
        "for where in (('1.1.1.1', 53), ('169.254.169.254', 80), ('172.17.0.1', 22),\n"
        "              ('127.0.0.1', 22), ('8.8.8.8', 443), ('::1', 22), ('2606:4700::1111', 53)):\n"
        "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
        "        family = socket.AF_INET6 if ':' in where[0] else socket.AF_INET\n"
        "        try:\n"
        "            s = socket.socket(family, kind); s.settimeout(1); s.connect(where)\n"
        "            if where[0] not in ('127.0.0.1', '::1') or kind == socket.SOCK_STREAM:\n"
        "                print('REACHED', where, kind)\n"
        "        except OSError: pass\n"
        "for family, kind in ((17, 3), (2, 3), (40, 1)):\n"
        "    try: socket.socket(family, kind); print('SOCKET', family)\n"
        "    except OSError: pass\n"
    )
    result = py(sandbox, code, timeout_s=60)
    assert "REACHED" not in result.stdout, result.stdout
    assert "SOCKET 17" not in result.stdout, result.stdout


@needs("network_isolated", "python")
def names_fail_fast(sandbox: Sandbox) -> None:
    """Name resolution fails at once instead of waiting for a server."""
    code = (
        "import socket, time\nt = time.monotonic()\n"
        "try: socket.getaddrinfo('example.com', 80)\nexcept OSError: print(time.monotonic() - t < 2)"
    )
    assert py(sandbox, code, timeout_s=40).stdout == "True\n"


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


@needs("isolated", "python")
def terminal_cannot_be_typed_into(sandbox: Sandbox) -> None:
    """There is no controlling terminal, and TIOCSTI is refused."""
    code = (
        "import fcntl\n"
        "try: open('/dev/tty'); print('tty')\nexcept OSError: pass\n"
        "for fd in (0, 1, 2):\n"
        "    try: fcntl.ioctl(fd, 0x5412, b'x'); print('typed')\n    except OSError: pass\n"
    )
    assert py(sandbox, code).stdout == ""


@needs("read_only_root", "remap", "python")
def removing_everything_hurts_only_the_workspace(sandbox: Sandbox) -> None:
    """`rm -rf /` leaves a sandbox that still runs."""
    sh(sandbox, "rm -rf --no-preserve-root / 2>/dev/null; true", timeout_s=60)
    assert_alive(sandbox)
    sandbox.write_file("after", b"x")
    assert py(sandbox, "print(open('after').read())").stdout == "x\n"


@needs("python")
def environment_is_reproducible(sandbox: Sandbox) -> None:
    """Hash seed, time zone and locale are fixed."""
    code = "import time, locale; print(hash('a'), time.tzname[0], locale.getpreferredencoding())"
    first = py(sandbox, code).stdout
    assert first == py(sandbox, code).stdout
    assert first.split()[1:] == ["UTC", "UTF-8"]


def variables_are_passed_as_given(sandbox: Sandbox) -> None:
    """A variable with any text arrives as it is and only for its command."""
    value = "a b\n\"'$(id)`id`\\ ünï"
    result = sandbox.exec(["sh", "-c", 'printf %s "$ODD"'], timeout_s=10, env={"ODD": value})
    assert result.stdout == value
    assert sh(sandbox, 'printf %s "${ODD-unset}"').stdout == "unset"


def core_dumps_are_off(sandbox: Sandbox) -> None:
    """A crash leaves no memory image behind."""
    result = sh(sandbox, "ulimit -c; sh -c 'kill -SEGV $$'; ls")
    assert result.stdout.splitlines()[0] == "0"
    assert "core" not in result.stdout


INTRUSION: tuple[Case, ...] = (
    killing_everything_spares_the_supervisor,
    stopping_everything_spares_the_supervisor,
    supervisor_cannot_be_read,
    supervisor_cannot_be_traced,
    stream_cannot_be_written,
    only_three_descriptors,
    printed_frames_are_output,
    planted_modules_do_not_reach_the_supervisor,
    no_capabilities,
    namespaces_cannot_be_made,
    mounts_cannot_be_made,
    odd_system_calls_are_refused,
    kernel_interfaces_are_closed,
    control_groups_cannot_be_changed,
    set_user_id_programs_gain_nothing,
    nothing_can_be_reached,
    names_fail_fast,
    host_sockets_cannot_be_reached,
    host_files_are_invisible,
    host_environment_is_absent,
    host_processes_are_invisible,
    host_processes_cannot_be_signalled,
    other_processes_cannot_be_hampered,
    host_memory_segments_are_out_of_reach,
    terminal_cannot_be_typed_into,
    removing_everything_hurts_only_the_workspace,
    environment_is_reproducible,
    variables_are_passed_as_given,
    core_dumps_are_off,
)
