"""The local back ends as an ordinary user, when the tests themselves run as root."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentbench_sandbox

PROGRAM = """
import json, os, sys, tempfile, time
sys.path.insert(0, sys.argv[1])
from agentbench_sandbox import Limits, Request, local
limits = Limits(memory_mib=512, pids=64, disk_mib=64, tmp_mib=64)
sandbox = getattr(local, sys.argv[2])(Request(limits=limits))
def sh(script, timeout_s=10):
    return sandbox.exec(["sh", "-c", script], timeout_s=timeout_s)
found = {"backend": sandbox.backend}
found["writes"] = sh("echo x > f && cat f").stdout
found["secret"] = sh(f"cat {sys.argv[3]}").stdout
found["python"] = sh("python3 -c 'print(6 * 7)'").stdout
started = time.monotonic()
result = sh("setsid sleep 86700 & sleep 86700", 0.5)
found["timed_out"] = result.timed_out and time.monotonic() - started < 2
bomb = "import os, time\\nwhile True:\\n    if os.fork() == 0: time.sleep(20)"
result = sandbox.exec(["python3", "-c", bomb], timeout_s=5)
found["bomb"] = "unavailable" in result.stderr or result.pids_limit_hit or result.timed_out
found["pid1"] = sh("cat /proc/1/environ; cat /proc/1/mem; ls /proc/1/fd").stdout
found["kill"] = sh("kill -9 1; echo still").stdout
if sandbox.capabilities.private_processes:
    sh("kill -9 -1")
found["after"] = sh("echo alive").stdout
hog = "x = []\\nwhile True: x.append(bytearray(b'x') * (8 << 20))"
result = sandbox.exec(["python3", "-c", hog], timeout_s=20)
found["hog"] = result.oom_killed or "MemoryError" in result.stderr
with sandbox.python() as kernel:
    kernel.run("x = 1")
    found["cell"] = kernel.run("x + 1").value
found["own_mode"] = sh("echo x > g; chmod 751 g; stat -c %a g").stdout
mine = tempfile.NamedTemporaryFile()
os.chmod(mine.name, 0o600)
sh(f"chmod 666 {mine.name}")
found["host_mode"] = oct(os.stat(mine.name).st_mode)
mine.close()
held = "import os, time\\nx = [os.memfd_create('x') for _ in range(90)]\\n"
held += "for fd in x: os.write(fd, bytes(8 << 20)); time.sleep(0.01)\\ntime.sleep(15)"
found["held"] = sandbox.exec(["python3", "-c", held], timeout_s=40).oom_killed
sh("mkdir closed; touch closed/x; chmod 0 closed")
sandbox.close()
found["left"] = os.listdir(tempfile.gettempdir())
print(json.dumps(found))
"""


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that others may enter; every start of pytest closes its own to them."""
    with tempfile.TemporaryDirectory(prefix="agentbench-test-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a system Python")
@pytest.mark.parametrize("opener", ["open_bubblewrap", "open_landlock"])
def test_ordinary_user(opener: str, open_place: Path) -> None:
    source = open_place / "source"
    shutil.copytree(Path(agentbench_sandbox.__file__).parent, source / "agentbench_sandbox")
    secret = open_place / "secret"
    secret.write_text("planted")
    temporary = open_place / "tmp"
    temporary.mkdir()
    os.chown(temporary, 65533, 65533)
    done = subprocess.run(
        ["/usr/bin/python3", "-c", PROGRAM, source, opener, secret],
        user=65533,
        group=65533,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "version" in done.stderr and "SyntaxError" in done.stderr:
        pytest.skip("the system's Python is too old")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("backend") == opener.removeprefix("open_")
    assert found == {
        "writes": "x\n",
        "secret": "",
        "python": "42\n",
        "timed_out": True,
        "bomb": True,
        "pid1": "",
        "kill": "still\n",
        "after": "alive\n",
        "hog": True,
        "cell": "2",
        "own_mode": "751\n",
        "host_mode": "0o100600",
        "held": True,
        "left": [],
    }
