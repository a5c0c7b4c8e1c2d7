"""One gigabyte of output: how long it takes, what it costs this process, what is left of it.

    python flood.py [--backend docker|bubblewrap|landlock] [--n 5]

Each round also times `head | cat` of as much in a plain shell, for the ratio. Exits with 1 when
totals are wrong, memory grew by more than 40 MiB, or the sandbox is dead afterwards.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agentbench_sandbox import Request, Sandbox, local
from agentbench_sandbox.docker import open_docker

SIZE = 10**9
ALLOWED_MIB = 40
OPENERS: dict[str, Callable[[Request], Sandbox]] = {
    "docker": open_docker,
    "bubblewrap": local.open_bubblewrap,
    "landlock": local.open_landlock,
}


def peak_mib() -> float:
    """Return the largest resident memory of this process since `forget_peak`, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def forget_peak() -> None:
    """Let the peak start from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Run it and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=OPENERS, default="bubblewrap")
    parser.add_argument("--n", type=int, default=5)
    asked = parser.parse_args()
    seconds: list[float] = []
    plain: list[float] = []
    peaks: list[float] = []
    exact = alive = True
    with OPENERS[asked.backend](Request()) as sandbox:
        sandbox.exec(["true"], timeout_s=60)
        for _ in range(asked.n):
            forget_peak()
            before = peak_mib()
            started = time.perf_counter()
            result = sandbox.exec(["head", "-c", str(SIZE), "/dev/zero"], timeout_s=600)
            seconds.append(time.perf_counter() - started)
            peaks.append(peak_mib() - before)
            exact = exact and (result.stdout_total, result.truncated, result.ok) == (
                SIZE,
                True,
                True,
            )
            exact = exact and len(result.stdout_bytes) <= sandbox.limits.output_mib * 2**20 + 100
            alive = alive and sandbox.exec(["echo", "x"], timeout_s=60).stdout == "x\n"
            del result
            started = time.perf_counter()
            subprocess.run(["sh", "-c", f"head -c {SIZE} /dev/zero | cat >/dev/null"], check=True)
            plain.append(time.perf_counter() - started)
    report = {
        "backend": asked.backend,
        "seconds": round(statistics.median(seconds), 2),
        "times a pipe to cat": round(statistics.median(seconds) / statistics.median(plain), 2),
        "peak host memory, MiB": round(max(peaks), 1),
        "totals exact": exact,
        "sandbox alive": alive,
    }
    print(json.dumps(report, indent=1))
    sys.exit(0 if exact and alive and max(peaks) <= ALLOWED_MIB else 1)


if __name__ == "__main__":
    main()
