"""Files made to escape, to fill, or to fool whoever copies them."""

import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from agentbench_sandbox.errors import (
    SandboxError,
    SandboxFileError,
    SandboxFileNotFoundError,
    SandboxIsADirectoryError,
    TransferLimitError,
)
from agentbench_sandbox.sandbox import Sandbox
from agentbench_sandbox.testing.case import Case, assert_alive, needs, py, sh

MIB = 1 << 20


@needs("disk=kernel")
def full_tmp_is_enospc(sandbox: Sandbox) -> None:
    """/tmp ends at its size, with ENOSPC for the program and nobody else."""
    result = sh(sandbox, "head -c 300000000 /dev/zero > /tmp/fill; s=$?; rm -f /tmp/fill; exit $s")
    assert "No space left" in result.stderr
    assert result.exit_code != 0
    assert_alive(sandbox)


@needs("disk")
def full_workspace_is_noticed(sandbox: Sandbox) -> None:
    """The working directory ends at `disk_mib`: ENOSPC, or a watchdog that ends the command."""
    size = sandbox.limits.disk_mib + 100
    script = f"i=0; while [ $i -lt {size} ]; do head -c 1048576 /dev/zero > f$i || exit 5; "
    result = sh(sandbox, script + "i=$((i+1)); done; sleep 5", timeout_s=60)
    sh(sandbox, "rm -f f[0-9]*")
    assert result.disk_limit_hit or "No space left" in result.stderr, result
    assert_alive(sandbox)


@needs("disk=watchdog", "python")
def removed_files_count(sandbox: Sandbox) -> None:
    """Files without a name that a process still has open are on the disk."""
    code = (
        "import os, time\nheld = []\nfor n in range(30):\n    held.append(open('x', 'wb'))\n"
        "    os.unlink('x'); held[-1].write(bytes(8 << 20)); held[-1].flush(); time.sleep(0.02)\n"
        "time.sleep(10)"
    )
    assert py(sandbox, code, timeout_s=60).disk_limit_hit
    assert_alive(sandbox)


@needs("disk=watchdog", "python")
def deep_files_count(sandbox: Sandbox) -> None:
    """Nesting beyond what a path can name hides nothing from whoever counts."""
    code = (
        "import os, time\nfor n in range(1500): os.mkdir('deep'); os.chdir('deep')\n"
        "open('x', 'wb').write(b'x')\ntime.sleep(10)"
    )
    assert py(sandbox, code, timeout_s=60).disk_limit_hit
    for _ in range(50):  # what is that deep is over the limit, so removing it is ended as well
        if sh(sandbox, "rm -rf deep").ok:
            break
    assert sh(sandbox, "test ! -e deep").ok


@needs("shared_memory", "disk=kernel")
def full_shared_memory_is_enospc(sandbox: Sandbox) -> None:
    """/dev/shm ends at its size."""
    result = sh(sandbox, "head -c 300000000 /dev/zero > /dev/shm/fill; rm -f /dev/shm/fill")
    assert "No space left" in result.stderr


def links_and_devices_stay_inside(sandbox: Sandbox) -> None:
    """Only regular files and directories leave; modes lose set-user-id; nothing lands outside."""
    script = """
    rm -rf d; mkdir -p d/sub; cd d
    echo good > sub/file; chmod 4777 sub/file
    ln -s /etc/passwd absolute; ln -s ../../.. up; ln -s sub relative
    mkfifo fifo; ln sub/file hard; touch 'new
line'
    """
    assert sh(sandbox, script).exit_code == 0
    with tempfile.TemporaryDirectory() as host:
        target = Path(host, "out")
        skipped = sandbox.download("d", target)
        found = {path.relative_to(target).as_posix() for path in target.rglob("*")}
        assert found == {"sub", "sub/file", "hard"}
        assert not any(path.is_symlink() for path in target.rglob("*"))
        assert (target / "sub/file").stat().st_mode & 0o7777 == 0o755
        assert {"absolute", "up", "relative", "fifo"} <= set(skipped)
        assert sorted(path.name for path in Path(host).iterdir()) == ["out"]


def sparse_file_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    """Twenty gibibytes of nothing are not transferred."""
    sh(sandbox, "truncate -s 100M huge; truncate -s 20G huge 2>/dev/null")
    started = time.monotonic()
    with pytest.raises(TransferLimitError):
        sandbox.read_file("huge")
    with tempfile.TemporaryDirectory() as host:
        with pytest.raises(TransferLimitError):
            sandbox.download("huge", Path(host, "out"))
        assert list(Path(host).iterdir()) == []
    assert time.monotonic() - started < 2
    sh(sandbox, "rm -f huge")


def special_files_are_refused(sandbox: Sandbox) -> None:
    """FIFOs and devices are errors at once, not hangs."""
    sh(sandbox, "rm -f pipe; mkfifo pipe")
    started = time.monotonic()
    for path in ("pipe", "/dev/zero", "/dev/urandom"):
        with pytest.raises(SandboxFileError):
            sandbox.read_file(path)
    with pytest.raises(SandboxError):
        sandbox.write_file("pipe", b"data")
    assert time.monotonic() - started < 2
    sh(sandbox, "rm -f pipe")


@needs("python")
def growing_file_is_bounded(sandbox: Sandbox) -> None:
    """A file that grows while it is read never exceeds the limit on the host."""
    started = time.monotonic()
    sh(
        sandbox,
        "(while :; do head -c 4000000 /dev/zero >> grow || break; done) & sleep 0.2; exit 0",
    )
    with suppress(TransferLimitError):
        assert len(sandbox.read_file("grow")) <= sandbox.limits.file_mib * MIB
    assert time.monotonic() - started < 20
    stop = "import os, signal, glob\nfor p in glob.glob('/proc/[0-9]*/stat'):\n"
    stop += "    n = int(p.split('/')[2])\n    if n not in (1, os.getpid()):\n"
    stop += "        try: os.kill(n, 9)\n        except OSError: pass\n"
    if sandbox.capabilities.private_processes:
        py(sandbox, stop)
    for _ in range(200):
        if sh(sandbox, "rm -f grow; sleep 0.02; test ! -e grow").ok:
            break
    assert_alive(sandbox)


def missing_and_wrong_kinds_are_named(sandbox: Sandbox) -> None:
    """Errors of transfers are typed."""
    with pytest.raises(SandboxFileNotFoundError):
        sandbox.read_file("no/such/file")
    with pytest.raises(SandboxIsADirectoryError):
        sandbox.read_file(sandbox.workdir)
    with pytest.raises(SandboxIsADirectoryError):
        sandbox.write_file(sandbox.workdir, b"x")
    with pytest.raises(ValueError, match="NUL"):
        sandbox.read_file("a\0b")


@needs("read_only_root")
def system_files_cannot_be_written(sandbox: Sandbox) -> None:
    """The host's transfers obey the agent's permissions."""
    for path in ("/usr/bin/evil", "/etc/passwd", "/evil"):
        with pytest.raises(SandboxError):
            sandbox.write_file(path, b"x")


def symlinked_write_obeys_the_wall(sandbox: Sandbox) -> None:
    """Writing through a link the agent planted goes only where the agent could."""
    if not sandbox.capabilities.isolated:
        return
    sh(sandbox, "rm -f trap; ln -s /usr/planted trap")
    with pytest.raises(SandboxError):
        sandbox.write_file("trap", b"x")
    sh(sandbox, "rm -f trap")


@needs("python")
def archive_bomb_is_bounded(sandbox: Sandbox) -> None:
    """Unpacking a bomb happens inside, under the limits."""
    code = (
        "import gzip, sys\n"
        "with gzip.open('bomb.gz', 'wb', 9) as f:\n"
        "    for _ in range(600): f.write(bytes(1 << 20))\n"
    )
    assert py(sandbox, code, timeout_s=60).ok
    result = sh(sandbox, "gunzip -c bomb.gz > bomb; s=$?; sleep 0.3; exit $s", timeout_s=60)
    assert result.disk_limit_hit or result.exit_code != 0
    sh(sandbox, "rm -f bomb bomb.gz")
    assert_alive(sandbox)


def deep_tree_is_copied(sandbox: Sandbox) -> None:
    """A directory 200 levels deep comes out whole."""
    sh(
        sandbox,
        "rm -rf deep; p=deep; for i in $(seq 200); do p=$p/d; done; mkdir -p $p; echo x > $p/f",
    )
    with tempfile.TemporaryDirectory() as host:
        sandbox.download("deep", Path(host, "out"))
        assert sum(path.is_file() for path in Path(host, "out").rglob("*")) == 1


def upload_makes_what_is_asked(sandbox: Sandbox) -> None:
    """A directory uploaded and downloaded again is the same."""
    with tempfile.TemporaryDirectory() as host:
        source = Path(host, "in")
        (source / "sub").mkdir(parents=True)
        (source / "sub/a.bin").write_bytes(bytes(range(256)) * 2000)
        (source / "run.sh").write_text("echo ran\n")
        (source / "run.sh").chmod(0o755)
        (source / "empty").mkdir()
        sandbox.upload(source, "copied")
        assert sandbox.exec([f"{sandbox.workdir}/copied/run.sh"], timeout_s=10).exit_code in (
            0,
            126,
        )
        sandbox.download("copied", Path(host, "out"))
        assert (Path(host, "out/sub/a.bin")).read_bytes() == (source / "sub/a.bin").read_bytes()
        assert Path(host, "out/empty").is_dir()
        (source / "link").symlink_to("/etc/passwd")
        with pytest.raises(SandboxFileError):
            sandbox.upload(source, "again")


def large_file_round_trip(sandbox: Sandbox) -> None:
    """50 MiB in and out are the same bytes."""
    data = bytes(range(256)) * (50 * MIB // 256)
    sandbox.write_file("large", data)
    assert sandbox.read_file("large") == data
    sh(sandbox, "rm -f large")


def executables_can_be_made(sandbox: Sandbox) -> None:
    """The working directory is not mounted noexec: compiled programs run."""
    assert sh(sandbox, "cp /bin/echo mine && ./mine built").stdout == "built\n"


HOSTILE_FILES: tuple[Case, ...] = (
    full_tmp_is_enospc,
    full_workspace_is_noticed,
    removed_files_count,
    deep_files_count,
    full_shared_memory_is_enospc,
    links_and_devices_stay_inside,
    sparse_file_is_refused_before_it_is_sent,
    special_files_are_refused,
    growing_file_is_bounded,
    missing_and_wrong_kinds_are_named,
    system_files_cannot_be_written,
    symlinked_write_obeys_the_wall,
    archive_bomb_is_bounded,
    deep_tree_is_copied,
    upload_makes_what_is_asked,
    large_file_round_trip,
    executables_can_be_made,
)
