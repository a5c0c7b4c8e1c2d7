import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentbench_irl.cli import main
from agentbench_irl.pretrained import last_checkpoint

STEPS = 150


def flags(model: Path, data: Path, output: Path) -> list[str]:
    return (
        f"train --model {model} --data {data} --output-dir {output} --json --max-steps {STEPS} "
        "--learning-rate 1e-2 --save-steps 10 --per-device-train-batch-size 4 --use-cpu "
        "--save-total-limit 3"
    ).split()


def here(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["agentbench-irl", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted(
    model_directory: Path, chat_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = flags(model_directory, chat_file, killed)
    command = [sys.executable, "-c", "from agentbench_irl.cli import main; main()", *words]
    process = subprocess.Popen(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while last_checkpoint(killed) is None and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before its first checkpoint"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last_checkpoint(killed) is not None
    assert not (killed / "model.safetensors").exists(), "it was not killed half-way"

    here(monkeypatch, [*words, "--resume"])
    here(monkeypatch, flags(model_directory, chat_file, whole))
    for name in ("model.safetensors", "iqlearn.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
