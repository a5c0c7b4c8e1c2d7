"""The same job with a language model: a tiny random one behind a real server. It acts badly."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentbench_agents.models.testing import Fault, FaultServer, serve, tiny_model
from agentbench_agents.trajectory import read_trajectory

COMMAND = [sys.executable, "-c", "from agentbench_cli import main; main()"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[str]:
    with serve(model) as url:
        yield url


def run(url: str, model: str, cwd: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["run", "digits", "-a", "mle", "-m", f"openai:{model}", "--base-url", url]
    return subprocess.run(
        [*COMMAND, *arguments, "--sandbox", "local", "--data", str(cwd / "data"), *options],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_a_run_with_a_random_model_finishes_and_is_scored_as_what_it_is(
    server: str, model: Path, tmp_path: Path
) -> None:
    options = ("--steps", "3", "-p", "max_tokens=32", "-p", "repairs=1")
    done = run(server, str(model), tmp_path, *options)
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(x) for x in (tmp_path / "runs/results.jsonl").read_text().splitlines()]
    assert row["status"] == "failed"
    assert row["score"] is None
    assert row["steps"] == 3
    assert row["tokens"] > 0
    assert row["cost_usd"] is None
    events = list(read_trajectory(tmp_path / "runs" / row["run_id"] / "trajectory.jsonl"))
    said = [e for e in events if e["type"] == "message"]
    assert [e["role"] for e in said[:2]] == ["system", "user"]
    assert sum(e["role"] == "assistant" for e in said) == 6
    told = [e["text"] for e in events if e["type"] == "observation"]
    assert sum("Invalid action" in t for t in told) == 3


def test_a_token_budget_ends_the_run(server: str, model: Path, tmp_path: Path) -> None:
    done = run(server, str(model), tmp_path, "--tokens", "2000", "-p", "max_tokens=16")
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(x) for x in (tmp_path / "runs/results.jsonl").read_text().splitlines()]
    assert row["steps"] < 15
    assert row["tokens"] >= 2000


def test_a_server_that_answers_garbage_is_one_sentence(tmp_path: Path) -> None:
    with FaultServer([Fault(kind="page")] * 20) as faulty:
        done = run(faulty.base_url, "tiny", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "agentbench resume runs" in done.stderr
