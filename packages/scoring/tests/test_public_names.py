"""The names of the package: lazy, complete, and never hidden by a submodule."""

import ast
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import agentbench_scoring


def submodules() -> list[str]:
    return [m.name for m in pkgutil.iter_modules(agentbench_scoring.__path__)]


def test_no_submodule_bears_a_public_name() -> None:
    assert not set(submodules()) & set(agentbench_scoring.__all__)


@pytest.mark.parametrize("name", ["aggregate", "compare", "judge", "validate"])
def test_a_function_stays_a_function_after_every_submodule_is_imported(name: str) -> None:
    for module in submodules():
        import_module(f"agentbench_scoring.{module}")
    assert callable(getattr(agentbench_scoring, name))


def test_what_a_type_checker_sees_is_what_python_gives() -> None:
    tree = ast.parse(Path(str(agentbench_scoring.__file__)).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("agentbench_scoring.")
        for alias in node.names
    }
    assert set(seen) == set(agentbench_scoring.__all__)
    for name, module in seen.items():
        assert getattr(agentbench_scoring, name) is getattr(import_module(str(module)), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(agentbench_scoring, "accuracy_of_everything")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import agentbench_scoring", {"numpy", "polars", "pydantic"}),
        ("from agentbench_scoring import get_metric; get_metric('rmse')", {"polars", "pydantic"}),
        ("from agentbench_scoring import score_submission", {"scipy", "sklearn", "typer"}),
        ("from agentbench_scoring import Leaderboard, aggregate", {"polars", "typer"}),
    ],
    ids=["package", "a metric", "scoring", "statistics"],
)
def test_only_what_is_used_is_imported(code: str, absent: set[str]) -> None:
    probe = f"{code}\nimport sys\nprint(*{absent!r} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    assert not done.stdout.strip()
