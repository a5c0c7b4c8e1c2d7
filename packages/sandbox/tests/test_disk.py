"""What is on the disk is counted and removed, however the agent hides it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentbench_sandbox import Request, local
from agentbench_sandbox.guest.disk import DEEPEST, ENTRY_KIB, disk_kib, remove_tree, unlinked_kib
from agentbench_sandbox.testing import TESTING_LIMITS

FAR = 1 << 40


def nest(root: Path, depth: int) -> None:
    """Make directories in one another, further down than a path can say."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_directories_and_empty_files_are_not_free(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}/f").touch()
    assert disk_kib([str(tmp_path)], [], FAR) >= 100 * ENTRY_KIB


def test_contents_count_once_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/large").write_bytes(os.urandom(4 << 20))
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    assert disk_kib([str(tmp_path / "in")], [], FAR) < 100
    assert 4096 <= disk_kib([str(tmp_path / "out")], [], FAR) < 4200
    assert disk_kib([str(tmp_path / "link-that-is-not-there")], [], FAR) == 0


def test_too_deep_is_too_much(tmp_path: Path) -> None:
    nest(tmp_path, DEEPEST - 2)
    before = len(os.listdir("/proc/self/fd"))
    assert disk_kib([str(tmp_path)], [], FAR) < FAR
    remove_tree(str(tmp_path))
    tmp_path.mkdir()
    nest(tmp_path, DEEPEST + 50)
    assert disk_kib([str(tmp_path)], [], FAR) > FAR
    assert len(os.listdir("/proc/self/fd")) == before
    remove_tree(str(tmp_path))


def test_removed_files_that_are_open_count_once(tmp_path: Path) -> None:
    code = (
        "import os, sys\nf = open(sys.argv[1], 'wb'); f.write(bytes(3 << 20)); f.flush()\n"
        "os.unlink(sys.argv[1]); g = os.dup(f.fileno()); print('ready', flush=True); input()"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "f")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        device = tmp_path.stat().st_dev
        assert 3072 <= unlinked_kib([process.pid, process.pid], {device}) < 3200
        assert unlinked_kib([process.pid], {device + 1}) == 0
        assert 3072 <= disk_kib([str(tmp_path)], [process.pid], FAR) < 3200
        process.kill()


def test_nothing_resists_removal(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    nest(root, 1500)  # deeper than a path, Python's recursion and most limits on descriptors
    (root / "link").symlink_to(outside)
    (root / "closed/below").mkdir(parents=True)
    (root / "closed/below/file").touch()
    (root / "closed/below").chmod(0)
    (root / "closed").chmod(0)
    os.mkfifo(root / "fifo")
    remove_tree(str(root))
    assert not root.exists()
    assert (outside / "kept").read_text() == "kept"
    assert outside.stat().st_mode & 0o777 == 0o755


def test_entries_of_a_small_file_system_are_limited() -> None:
    """A tmpfs limits contents only, and bubblewrap's are in nobody's control group."""
    code = "import os, time\nfor n in range(400_000): os.mkdir(f'd{n}')\ntime.sleep(20)\nprint('all')"
    try:
        opened = local.open_bubblewrap(Request(limits=TESTING_LIMITS))
    except local.SandboxUnavailableError as error:
        pytest.skip(str(error))
    with opened as sandbox:
        filled = sandbox.exec(["python3", "-c", code], timeout_s=120)
        assert (filled.disk_limit_hit, filled.stdout) == (True, "")
        assert sandbox.exec(["find", ".", "-name", "d*", "-delete"], timeout_s=60).ok
        assert sandbox.exec(["sleep", "0.5"], timeout_s=60).ok
