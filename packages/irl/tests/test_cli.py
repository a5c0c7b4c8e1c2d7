import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentbench_irl.cli import main


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["agentbench-irl", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_train_then_the_same_again_from_its_config(
    model_directory: Path,
    chat_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = f"--model {model_directory} --data {chat_file} --output-dir {tmp_path / 'a'} --json"
    more = "--max-steps 6 --learning-rate 1e-2 --save-strategy no --td_weight 0.2"
    code, first, _ = run(capsys, monkeypatch, "train", *flags.split(), *more.split())
    assert code == 0
    again = f"train --config {tmp_path / 'a/config.yaml'} --output-dir {tmp_path / 'b'} --json"
    _, second, _ = run(capsys, monkeypatch, *again.split())
    summary = json.loads(first)
    assert summary["steps"] == 6
    assert json.loads(second) == summary | {"output_dir": str(tmp_path / "b")}
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ("train --model x", "missing --data"),
        ("train --modell x", "no setting --modell; did you mean --model?"),
        ("train --model {model} --data {tmp}/no.jsonl", "cannot read"),
        ("train --model {tmp} --data {data}", "cannot load the tokenizer"),
        ("train --model {model} --data {data} --td-weight much", "invalid float value: 'much'"),
        ("train --model {model} --data {data} --td-weight -1", "td_weight is -1.0"),
        ("train --model {model} --data {data} --terminal-value x", "terminal_value is 'x'"),
        ("train --model {model} --data {data} --loss-type sft", "invalid choice: 'sft'"),
        ("train --config {tmp}/no.yaml", "cannot read"),
        ("train --model {model} --data {model}/model.safetensors", "cannot read"),
        ("train --model {model} --data {model}/config.json", "line 1: not JSON"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    flags: str,
    complaint: str,
    model_directory: Path,
    chat_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    words = flags.format(model=model_directory, data=chat_file, tmp=tmp_path).split()
    code, _, err = run(capsys, monkeypatch, *words, "--output-dir", str(out))
    assert code == 2
    assert complaint in err
    assert err.count("\n") == 1
    assert not out.exists()


@pytest.mark.slow
def test_installed_command() -> None:
    command = [str(Path(sys.executable).with_name("agentbench-irl")), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "train" in shown.stdout
