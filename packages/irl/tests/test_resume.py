import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentbench_irl.cli import main
from agentbench_irl.pretrained import last_checkpoint

# the command, killed from inside where it hurts most: the second checkpoint has its weights and
# not yet its optimizer, its random numbers and its state
KILLED = """
import os, signal
from agentbench_irl.cli import main
from agentbench_irl.reward_scale import RewardScale

save, saved = RewardScale.save, []

def save_and_be_killed(scale, directory):
    save(scale, directory)
    saved.append(directory)
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

RewardScale.save = save_and_be_killed
main()
"""


def flags(model: Path, data: Path, output: Path) -> list[str]:
    return (
        f"train --model {model} --data {data} --output-dir {output} --json --max-steps 30 "
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
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    assert (killed / "checkpoint-20" / "model.safetensors").exists()
    assert last_checkpoint(killed) == str(killed / "checkpoint-10")

    here(monkeypatch, [*words, "--resume"])
    here(monkeypatch, flags(model_directory, chat_file, whole))
    for name in ("model.safetensors", "iqlearn.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
