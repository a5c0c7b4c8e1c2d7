"""Modes, owners and attributes of files: the host's stay as they are, the agent's are its own."""

import os
import tempfile
from pathlib import Path

from agentbench_sandbox.sandbox import Sandbox
from agentbench_sandbox.testing.case import Case, assert_alive, needs, py, sh

EVERY_WAY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
path = sys.argv[1]
os.symlink(path, "way")
os.mkdir("sub")
os.symlink(os.path.dirname(path), "sub/up")
acl = bytes.fromhex("0200000001000600ffffffff020006000500000004000400ffffffff"
                    "10000600ffffffff20000000ffffffff")
def tried(do, *words, **named):
    try: do(*words, **named)
    except OSError: pass
for way in (path, "way", "sub/up/file", f"/proc/{os.getpid()}/cwd/way", "/proc/self/cwd/way",
            "/proc/thread-self/root" + path, os.path.relpath(path)):
    for mode in (0o666, 0, 0o4755):
        tried(os.chmod, way, mode)
        libc.syscall(452, -100, way.encode(), mode, 0)
    tried(os.chown, way, os.getuid(), 7)
    tried(os.lchown, way, 7, 7)
    tried(os.setxattr, way, "user.planted", b"x")
    tried(os.setxattr, way, "system.posix_acl_access", acl)
    try: fd = os.open(way, os.O_PATH)
    except OSError: continue
    tried(os.fchmod, fd, 0o666)
    tried(os.chmod, f"/proc/self/fd/{fd}", 0o666)
    libc.syscall(452, fd, b"", 0o666, 0x1000)
    libc.fchownat(fd, b"", 7, 7, 0x1000)
    os.close(fd)
try: held = os.open(os.path.dirname(path), os.O_PATH)
except OSError: held = -1
tried(os.chmod, "file", 0o666, dir_fd=held)
libc.fchmodat(held, b"file", 0o666, 0)
os.unlink("way"); os.unlink("sub/up"); os.rmdir("sub")
print("tried")
"""
OWN = """
import os, shutil, stat
def mode(path): return oct(stat.S_IMODE(os.lstat(path).st_mode))
open("own", "w").close()
os.chmod("own", 0o700); print(mode("own"))
os.chmod(os.path.abspath("own"), 0o640); print(mode("own"))
fd = os.open("own", os.O_RDWR); os.fchmod(fd, 0o600); print(mode("own"))
os.mkdir("below"); held = os.open("below", os.O_RDONLY)
shutil.copy2("own", "below/copy"); os.chmod("copy", 0o444, dir_fd=held); print(mode("below/copy"))
fd = os.open("own", os.O_PATH); os.chmod(f"/proc/self/fd/{fd}", 0o600)
os.chown("own", -1, -1); os.chown("own", os.getuid(), os.getgid())
os.symlink("own", "alias"); os.chmod("alias", 0o755); print(mode("own"))
for do in (lambda: os.chmod("none", 0), lambda: os.chmod("", 0), lambda: os.chmod("x" * 5000, 0),
           lambda: os.fchmod(99, 0), lambda: os.chown("own", 1, 1)):
    try: do(); print("done")
    except OSError as error: print(error.errno)
shutil.rmtree("below"); os.unlink("own"); os.unlink("alias")
"""


@needs("isolated", "python")
def host_files_keep_their_attributes(sandbox: Sandbox) -> None:
    """Nothing inside changes the mode, owner or attributes of a file of the host's, by any way."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "file")
        file.write_text("planted")
        file.chmod(0o640)
        before = file.stat()
        result = sandbox.exec(["python3", "-c", EVERY_WAY, str(file)], timeout_s=30)
        assert (result.stdout, result.stderr) == ("tried\n", "")
        after = file.stat()
        for name in ("st_mode", "st_uid", "st_gid"):
            assert getattr(after, name) == getattr(before, name), name
        assert os.listxattr(file) == []
    assert_alive(sandbox)


@needs("python")
def own_files_change_their_modes(sandbox: Sandbox) -> None:
    """What is the agent's can be made executable, private, read-only, copied with its mode."""
    result = py(sandbox, OWN)
    modes, errors = result.stdout.split()[:5], result.stdout.split()[5:]
    assert modes == ["0o700", "0o640", "0o600", "0o444", "0o755"], result
    assert errors == ["2", "2", "36", "9", "1"] or not sandbox.capabilities.isolated, result
    script = "printf '#!/bin/sh\\necho ran\\n' > run; chmod +x run; ./run; rm run"
    assert sh(sandbox, script).stdout == "ran\n"
    many = "for i in $(seq 50); do : > m$i; chmod 600 m$i & done; wait; rm m[0-9]*; echo all"
    assert sh(sandbox, many).stdout == "all\n"


HOSTILE_ATTRIBUTES: tuple[Case, ...] = (
    host_files_keep_their_attributes,
    own_files_change_their_modes,
)
