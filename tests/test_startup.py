"""What a person waits for: nothing heavy is imported before it is needed."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "docker", "gymnasium", "sklearn", "transformers", "numba", "scipy", "openai"}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("agentbench_cli.commands", set[str]()),
        ("agentbench_scoring", set[str]()),
        ("agentbench_sandbox", set[str]()),
        ("agentbench_tasks", set[str]()),
        ("agentbench_agents", {"gymnasium"}),
        ("agentbench_irl.cli", set[str]()),
    ],
)
def test_import_is_light(module: str, allowed: set[str]) -> None:
    program = f"import sys, {module}; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not (HEAVY - allowed) & set(done.stdout.split())
