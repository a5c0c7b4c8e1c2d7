"""The bridge from agents to irl is a file: what one exports, the other trains on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentbench_agents import Budget, Campaign, RunSpec
from agentbench_agents.export import export
from agentbench_agents.models.testing import tiny_model


@pytest.mark.slow
def test_exported_trajectories_train_a_model(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "runs")
    spec = RunSpec(
        task="diabetes",
        sandbox="local",
        budget=Budget(steps=6),
        data_root=str(tmp_path / "data"),
    )
    (result,) = campaign.execute(campaign.plan([spec]))
    assert result.status == "scored"
    rows = list(export(tmp_path / "runs", keep="scored"))
    assert [m["role"] for m in rows[0]["messages"][:3]] == ["user", "assistant", "tool"]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    model = tiny_model(tmp_path / "model")
    train = "from agentbench_irl.cli import main; main()"
    flags = f"train --model {model} --data {data} --output-dir {tmp_path / 'out'} --json"
    more = "--max-steps 2 --max-length 4096 --use-cpu True"
    done = subprocess.run(
        [sys.executable, "-c", train, *flags.split(), *more.split()],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout)
    assert summary["steps"] == 2
    assert (tmp_path / "out" / "model.safetensors").is_file()
