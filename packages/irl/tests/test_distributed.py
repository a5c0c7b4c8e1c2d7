"""Two processes over gloo see the loss curve of one."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("distributed_train.py")
STRATEGIES = ("DistributedDataParallel", "FSDPModule")


def report(output: Path) -> dict[str, Any]:
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def alone(chat_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("alone")
    train = runpy.run_path(str(PROGRAM))["main"]
    train(str(chat_file), str(output), {"per_device_train_batch_size": 8})
    return report(output)


@pytest.fixture(scope="module")
def together(
    chat_file: Path, model_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Return the reports of both strategies, trained one after the other by the same processes."""
    output = tmp_path_factory.mktemp("together")
    options: dict[str, Any] = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    runs = {
        str(output / STRATEGIES[0]): options,
        str(output / STRATEGIES[1]): options | {"fsdp_model": str(model_directory)},
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(PROGRAM), str(chat_file), json.dumps(runs)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {strategy: report(output / strategy) for strategy in STRATEGIES}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_are_one(
    alone: dict[str, Any], together: dict[str, dict[str, Any]], strategy: str
) -> None:
    found = together[strategy]
    assert strategy in found["wrapper"]
    assert found["terminal_value"] == pytest.approx(alone["terminal_value"], rel=1e-6)
    assert found["eval"] == pytest.approx(alone["eval"], rel=1e-5)
    assert len(found["steps"]) == 4
    for step, expected in zip(found["steps"], alone["steps"], strict=True):
        assert step == pytest.approx(expected, rel=1e-3)
        assert step[0] == pytest.approx(expected[0], rel=1e-6)
