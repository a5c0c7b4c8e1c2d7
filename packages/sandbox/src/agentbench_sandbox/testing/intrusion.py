"""Ways out: the supervisor, the network, the kernel's odd corners."""

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
    near = f"{sandbox.workdir} /tmp /dev /etc /bin /sbin /lib /lib64 /usr/bin /usr/lib/python3*"
    everything = "timeout 3 rm -rf --no-preserve-root /"  # the rest are many files of the same kind
    sh(sandbox, f"exec 2>/dev/null; rm -rf {near}; {everything}; true", timeout_s=60)
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
    terminal_cannot_be_typed_into,
    removing_everything_hurts_only_the_workspace,
    environment_is_reproducible,
    variables_are_passed_as_given,
    core_dumps_are_off,
)
