"""`check_env` over every registered id, as a table (Markdown). It exits with 1 if one fails.

Kaggle tasks are synthetic stand-ins, research tasks run in local sandboxes (the full ones on
stand-ins of their data), the rest is real data with the null sandbox:
`python packages/agents/benchmarks/check_envs.py [ID ...]`.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.utils.env_checker import check_env

import agentbench_agents  # noqa: F401 - registers the ids
from agentbench_agents.registration import NAMESPACE
from agentbench_agents.testing import offline_options

ROWS = 120


def ids() -> list[str]:
    return sorted(i for i in gymnasium.registry if i.startswith(f"{NAMESPACE}/"))


def what(options: dict[str, Any]) -> str:
    if options["sandbox"] == "local":
        return "local sandbox"
    return "real data" if options["synthetic"] is None else f"stand-in, {ROWS} rows"


def check(name: str, root: Path) -> tuple[str, str, float]:
    began = time.perf_counter()
    try:
        given = offline_options(name, root, rows=ROWS)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gymnasium.make(f"{NAMESPACE}/{name}-v0", render_mode="ansi", **given)
            check_env(env.unwrapped)
            env.close()
    except Exception as error:  # noqa: BLE001 - the table says which
        return "?", f"{type(error).__name__}: {error}".split("\n")[0][:150], 0.0
    return what(given), "no warning", time.perf_counter() - began


def main(wanted: list[str]) -> Iterator[str]:
    yield "| id | data | `check_env` | s |"
    yield "|---|---|---|---|"
    with tempfile.TemporaryDirectory(prefix="agentbench-check-") as root:
        for env_id in wanted:
            name = env_id.removeprefix(f"{NAMESPACE}/").removesuffix("-v0")
            data, said, seconds = check(name, Path(root))
            failed.extend([env_id] if said != "no warning" else [])
            yield f"| {env_id} | {data} | {said} | {seconds:.2f} |"


failed: list[str] = []
if __name__ == "__main__":
    for line in main(sys.argv[1:] or ids()):
        print(line, flush=True)
    print(f"\n{len(failed)} failed: {failed}")
    sys.exit(bool(failed))
