import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentbench_irl.cli import main
from agentbench_irl.settings import read_settings


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


def test_flags_of_the_page_are_understood_and_kept(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "irl.md").read_text(encoding="utf-8")
    (flags,) = re.findall(r"`(--fsdp .*)`", page)
    words = ["--model", "m", "--data", "d", "--use-cpu", *shlex.split(flags)]
    settings = read_settings(None, words)
    assert settings.config.fsdp is True
    assert settings.config.fsdp_config["version"] == 2  # pyright: ignore[reportIndexIssue, reportArgumentType, reportCallIssue, reportOptionalSubscript]
    settings.save(tmp_path)
    again = read_settings(tmp_path / "config.yaml", [])
    assert again.asked == settings.asked
    assert again.config.fsdp_config == settings.config.fsdp_config


def test_installed_command() -> None:
    command = [str(Path(sys.executable).with_name("agentbench-irl")), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "train" in shown.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("command", ["generate", "rewards"])
def test_goes_on_where_it_was_killed(
    command: str,
    model_directory: Path,
    chat_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out.jsonl"
    words = f"{command} --model {model_directory} --data {chat_file} --out {out} --batch-size 5"
    words += " --samples 2 --max-new-tokens 4" if command == "generate" else ""
    assert run(capsys, monkeypatch, *words.split(), "--json")[0] == 0
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) // 2])
    assert run(capsys, monkeypatch, *words.split(), "--json")[0] == 0
    found, expected = lines(out), [json.loads(line) for line in whole.splitlines()]
    assert len(found) == 24
    if command == "generate":
        assert found == expected
    else:
        for one, other in zip(found, expected, strict=True):
            assert one["messages"] == other["messages"]
            assert one["rewards"] == pytest.approx(other["rewards"], rel=1e-4)


def test_evaluate_answers_with_rewards(
    model_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        {"prompt": "p", "reference": "a b c", "samples": ["a b c", "x y z"]},
        {"prompt": "q", "reference": "d e f", "samples": ["d e", "f"]},
    ]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = f"evaluate --answers {answers} --model {model_directory} --json"
    code, out, _ = run(capsys, monkeypatch, *words.split())
    report = json.loads(out)
    assert code == 0
    assert report["exact_match"]["mean"] == 0.25
    assert -1 <= report["reward_sum"]["spearman"] <= 1
    assert report["reward_sum"]["prompts"] == 2
    assert report["length"]["prompts"] == 1  # both samples of the first prompt are equally long


def test_evaluate_sweep(
    model_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, plot = tmp_path / "data.jsonl", tmp_path / "front.svg"
    data.write_text('{"prompt": "p", "completion": "q"}\n', encoding="utf-8")
    words = f"evaluate --model {model_directory} --data {data} --plot {plot} --samples 2"
    code, out, _ = run(capsys, monkeypatch, *words.split(), "--max-new-tokens", "3", "--json")
    assert code == 0
    assert sum(point["best"] for point in json.loads(out).values()) >= 1
    assert plot.exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("evaluate", "give --answers FILE"),
        ("evaluate --answers {data}", "line 1: samples"),
        ("evaluate --model {model} --data {data} --metric wer", "'wer' is not one of"),
        ("rewards --model {model} --data {data} --out {long}", "it is of other data"),
    ],
)
def test_bad_input_of_the_other_commands(
    words: str,
    complaint: str,
    model_directory: Path,
    chat_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = tmp_path / "long.jsonl"
    long.write_text("{}\n" * 99, encoding="utf-8")
    filled = words.format(model=model_directory, data=chat_file, long=long)
    code, _, err = run(capsys, monkeypatch, *filled.split())
    assert code == 2
    assert complaint in err
    assert "Traceback" not in err


def test_env(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "env", "--json")
    assert code == 0
    assert json.loads(out)["backend"] in {"torch", "cuda"}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora(
    model_directory: Path,
    chat_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = f"train --model {model_directory} --data {chat_file} --output-dir {tmp_path} --lora"
    code, _, _ = run(capsys, monkeypatch, *words.split(), "--max-steps", "2", "--lora-rank", "2")
    assert code == 0
    assert (tmp_path / "adapter_model.safetensors").exists()
