# ruff: noqa: ANN001, ANN002, ANN201, ANN202, B023, BLE001, PTH123 - a script to read from top to bottom
"""Measure this package beside its peers in one interleaved run.

    python compare.py [--n 40] [--image agentbench-sandbox:default] [--json FILE]

Round after round every system does the same thing, so noise hits all alike. Peers that are not
installed are left out and named: swe-rex, llm-sandbox, inspect-ai.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from agentbench_sandbox import Limits, Request, SandboxPool, local
from agentbench_sandbox.docker import open_docker

PRINT = ["python3", "-c", "print(1)"]


def bwrap(*argv):
    return ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", *argv]


def quantiles(seconds):
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50": statistics.median(ordered) * 1e3, "p95": p95 * 1e3, "n": len(ordered)}


def interleave(systems, n, warm=3):
    """Time each of {name: function} once per round."""
    times = {name: [] for name in systems}
    for turn in range(n + warm):
        for name, run in systems.items():
            started = time.perf_counter()
            run()
            if turn >= warm:
                times[name].append(time.perf_counter() - started)
    return {name: quantiles(values) for name, values in times.items()}


def peers(image, stack, missing):
    """Return {name: function(argv)} of the peers that can be used here."""
    found = {
        "subprocess": lambda argv: subprocess.run(argv, capture_output=True, check=True),
        "bwrap (raw)": lambda argv: subprocess.run(bwrap(*argv), capture_output=True, check=True),
    }
    import docker

    client = docker.from_env()
    container = client.containers.run(
        image,
        ["sleep", "3600"],
        detach=True,
        network_mode="none",
        read_only=True,
        user="65534",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="2g",
        pids_limit=512,
    )
    stack.callback(container.remove, force=True)
    found["docker SDK"] = container.exec_run
    try:
        from llm_sandbox import SandboxSession

        session = SandboxSession(
            lang="python", image=image, keep_template=True, skip_environment_setup=True
        )
        session.open()
        stack.callback(session.container.remove, force=True)
        found["llm-sandbox docker"] = lambda argv: session.execute_command(
            " ".join(argv) if argv != PRINT else "python3 -c print(1)"
        )
    except Exception as error:
        missing["llm-sandbox docker"] = str(error)[:200]
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    try:
        from inspect_ai.util._sandbox.local import LocalSandboxEnvironment

        environment = LocalSandboxEnvironment()
        found["inspect local (no isolation)"] = lambda argv: loop.run_until_complete(
            environment.exec(argv)
        )
    except Exception as error:
        missing["inspect local"] = str(error)[:200]
    try:
        from swerex.deployment.local import LocalDeployment
        from swerex.runtime.abstract import Command

        deployment = LocalDeployment()
        loop.run_until_complete(deployment.start())
        stack.callback(lambda: loop.run_until_complete(deployment.stop()))
        found["swe-rex local (no isolation)"] = lambda argv: loop.run_until_complete(
            deployment.runtime.execute(Command(command=argv, shell=False))
        )
    except Exception as error:
        missing["swe-rex local"] = str(error)[:200]
    return found


def cold(image):
    def ours(opener, request):
        with opener(request) as sandbox:
            sandbox.exec(["true"], timeout_s=10)

    def sdk():
        import docker

        client = docker.from_env()
        container = client.containers.run(
            image,
            ["sleep", "60"],
            detach=True,
            network_mode="none",
            read_only=True,
            user="65534",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="2g",
            pids_limit=512,
        )
        container.exec_run(["true"])
        container.remove(force=True)
        client.close()

    return {
        "agentbench docker": lambda: ours(open_docker, Request(image=image)),
        "agentbench bubblewrap": lambda: ours(local.open_bubblewrap, Request()),
        "docker SDK": sdk,
        "bwrap (raw)": lambda: subprocess.run(bwrap("true"), check=True),
    }


def once(sandbox):
    """Measure what needs one run only."""
    found = {}
    started = time.perf_counter()
    result = sandbox.exec(["head", "-c", "1000000000", "/dev/zero"], timeout_s=60)
    found["1 GB of output, s"] = time.perf_counter() - started
    assert result.stdout_total == 10**9
    data = bytes(50 << 20)
    for name, run in (
        ("50 MiB in, ms", lambda: sandbox.write_file("big", data)),
        ("50 MiB out, ms", lambda: sandbox.read_file("big")),
        ("1 KiB in, ms", lambda: sandbox.write_file("small", data[:1024])),
        ("1 KiB out, ms", lambda: sandbox.read_file("small")),
    ):
        found[name] = interleave({"x": run}, 10, warm=1)["x"]["p50"]
    first = []
    for _ in range(20):
        started = time.perf_counter()
        sandbox.exec(
            ["echo", "x"],
            timeout_s=5,
            on_output=lambda _stream, _data, since=started: first.append(
                time.perf_counter() - since
            ),
        )
    found["first streamed byte, ms"] = quantiles(first)["p50"]
    started = time.perf_counter()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: sandbox.exec(["sleep", "2"], timeout_s=9), range(3)))
    found["three sleeps of 2 s, s"] = time.perf_counter() - started
    with sandbox.python() as kernel:
        found["cell, ms"] = interleave({"x": lambda: kernel.run("x = 1")}, 200)["x"]
        kernel.run("b = bytearray(500 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1")
        copies = []
        found["fork of a session of 500 MiB, ms"] = interleave(
            {"x": lambda: copies.extend(kernel.fork(1))}, 10, warm=1
        )["x"]["p50"]
        for copy in copies:
            copy.close()
    return found


def throughput(open_one, boxes=8, threads=16, seconds=4.0):
    """Return commands per second over several sandboxes."""
    sandboxes = [open_one() for _ in range(boxes)]
    counts = [0] * threads
    end = time.perf_counter() + seconds

    def work(number):
        while time.perf_counter() < end:
            sandboxes[number % boxes].exec(["true"], timeout_s=10)
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for sandbox in sandboxes:
        sandbox.close()
    return sum(counts) / seconds


def show(title, rows):
    for name, row in sorted(rows.items(), key=lambda found: found[1]["p50"]):
        line = f"{title:<14}{name:<32}{row['p50']:9.2f} {row['p95']:9.2f} ms  n={row['n']}"
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--image", default="agentbench-sandbox:default")
    parser.add_argument("--json")
    asked = parser.parse_args()
    missing = {}
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory():
        ours = {
            "agentbench docker": stack.enter_context(open_docker(Request(image=asked.image))),
            "agentbench bubblewrap": stack.enter_context(local.open_bubblewrap(Request())),
            "agentbench landlock": stack.enter_context(local.open_landlock(Request())),
        }
        runs = {
            name: lambda argv, sandbox=sandbox: sandbox.exec(argv, timeout_s=10)
            for name, sandbox in ours.items()
        } | peers(asked.image, stack, missing)
        table = {}
        for title, argv in (("true", ["true"]), ("python print", PRINT)):
            table[title] = interleave(
                {k: (lambda run=run: run(argv)) for k, run in runs.items()}, asked.n
            )
            show(title, table[title])
        table["cold"] = interleave(cold(asked.image), max(10, asked.n // 4), warm=1)
        show("cold", table["cold"])
        single = {
            name: once(sandbox) for name, sandbox in ours.items() if name != "agentbench landlock"
        }
    with SandboxPool(lambda: open_docker(Request(image=asked.image)), size=3) as pool:
        time.sleep(3)
        taken = []

        def take():
            taken.append(pool.take())
            taken[-1].exec(["true"], timeout_s=10)

        table["from the pool"] = {"agentbench docker": interleave({"x": take}, 3, warm=0)["x"]}
        for sandbox in taken:
            sandbox.close()
    small = Limits(memory_mib=512, disk_mib=64, tmp_mib=64)
    single["throughput, commands/s"] = {
        "docker": throughput(lambda: open_docker(Request(image=asked.image, limits=small))),
        "bubblewrap": throughput(lambda: local.open_bubblewrap(Request(limits=small))),
    }
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import agentbench_sandbox"], check=True)
    imported = time.perf_counter() - started
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    single["import, ms"] = (imported - (time.perf_counter() - started)) * 1e3
    report = {
        "machine": f"{os.cpu_count()} CPUs, Linux {platform.release()}, load {os.getloadavg()}",
        "table": table,
        "single": single,
        "missing": missing,
    }
    show("from the pool", table["from the pool"])
    print(
        json.dumps({"single": single, "missing": missing, "machine": report["machine"]}, indent=1)
    )
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
