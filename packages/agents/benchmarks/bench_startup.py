"""What a person waits for: imports and `agentbench --help`, beside the bare interpreter."""

import subprocess
import sys

import pytest

PROGRAMS = {
    "interpreter": "pass",
    "numpy": "import numpy",
    "agentbench_sandbox": "import agentbench_sandbox",
    "agentbench_scoring": "import agentbench_scoring",
    "agentbench_tasks": "import agentbench_tasks",
    "agentbench_agents": "import agentbench_agents",
    "agentbench --help": "import sys; sys.argv[1:] = ['--help']; "
    "import agentbench_cli; agentbench_cli.main()",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_startup(benchmark, program: str) -> None:  # noqa: ANN001
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-c", program], check=True, capture_output=True),
        rounds=10,
        warmup_rounds=1,
    )
