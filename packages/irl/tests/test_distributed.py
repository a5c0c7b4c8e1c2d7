"""Two processes over gloo see the loss curve of one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("distributed_train.py")


def train(processes: int, data: Path, output: Path, options: dict[str, Any]) -> dict[str, Any]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [
        sys.executable,
        *(launcher if processes > 1 else []),
        str(PROGRAM),
        str(data),
        str(output),
        json.dumps(options),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def alone(chat_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("alone")
    return train(1, chat_file, output, {"per_device_train_batch_size": 8})


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["DistributedDataParallel", "FSDPModule"])
def test_two_processes_are_one(
    alone: dict[str, Any], chat_file: Path, model_directory: Path, tmp_path: Path, strategy: str
) -> None:
    options: dict[str, Any] = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    if strategy == "FSDPModule":
        options["fsdp_model"] = str(model_directory)
    together = train(2, chat_file, tmp_path, options)
    assert strategy in together["wrapper"]
    assert together["terminal_value"] == pytest.approx(alone["terminal_value"], rel=1e-6)
    assert together["eval"] == pytest.approx(alone["eval"], rel=1e-5)
    assert len(together["steps"]) == 4
    for found, expected in zip(together["steps"], alone["steps"], strict=True):
        assert found == pytest.approx(expected, rel=1e-3)
        assert found[0] == pytest.approx(expected[0], rel=1e-6)
