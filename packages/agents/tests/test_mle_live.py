"""Every scaffold with a language model: a tiny random one behind a real server. It acts badly."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentbench_agents import Budget
from agentbench_agents.models.testing import Fault, FaultServer, serve, tiny_model
from agentbench_agents.run import RunSpec, run_one
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


SCAFFOLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "tree, greedy": ("tree", {"policy": "greedy"}),
    "tree, mcts": ("tree", {"policy": "mcts", "in_flight": 2}),
    "tree, evolutionary": ("tree", {"policy": "evolutionary"}),
    "aide": ("aide", {}),
    "one_shot": ("one_shot", {}),
    "react, tools": ("react", {}),
    "react, fenced": ("react", {"tools": False}),
}


@pytest.mark.parametrize(("agent", "params"), SCAFFOLDS.values(), ids=SCAFFOLDS)
def test_a_scaffold_asks_mends_and_ends_in_order(
    agent: str, params: dict[str, Any], server: str, model: Path, tmp_path: Path
) -> None:
    spec = RunSpec(
        task="wine",
        agent=agent,
        agent_params={**params, "max_tokens": 16, "repairs": 1},
        model=f"openai:{model}",
        base_url=server,
        sandbox="local",
        data_root=str(tmp_path / "data"),
        budget=Budget(steps=6),
    )
    result = run_one(spec, tmp_path)
    assert result.status == "failed"  # it hands nothing in, and nothing else has failed
    assert result.tokens > 0
    events = list(read_trajectory(tmp_path / "trajectory.jsonl"))
    assert not [e for e in events if "agent_crashed" in e]
    said = [e for e in events if e["type"] == "message" and e["role"] == "assistant"]
    nodes = [e["node"] for e in events if "node" in e]
    expansions = 3 if agent in ("tree", "aide") else 0  # 6 less one to read and two to hand in
    assert len(nodes) == expansions
    assert all(n["buggy"] and n["sha256"] is None for n in nodes)
    assert len(said) == 2 * max(expansions, 1)
