"""Exports are loaded by those who read them: datasets, TRL's SFT and harbor's ATIF models."""
# datasets, trl and transformers annotate in part
# pyright: basic, reportPrivateImportUsage=false

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentbench_agents import Budget, Campaign, RunSpec
from agentbench_agents.models.testing import tiny_model

pytestmark = [
    pytest.mark.slow,
    # TRL 1.16 sets what transformers 5.23 renames
    pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning"),
]

GENERATION = (
    "{% for m in messages %}<|{{ m.role }}|>\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>\n{% endgeneration %}"
    "{% else %}{{ m.content }}<|end|>\n{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of a tiny model in this process (with token ids), and one of the baseline."""
    root = tmp_path_factory.mktemp("exports")
    model = tiny_model(root / "model")
    settings = model / "generation_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "min_new_tokens": 12}))
    campaign = Campaign(root / "runs")
    mle = RunSpec(
        task="diabetes",
        agent="mle",
        model=f"transformers:{model}",
        sandbox="local",
        budget=Budget(steps=3, tokens=60_000),
        data_root=str(root / "data"),
    )
    baseline = mle.model_copy(update={"agent": "baseline", "model": None})
    results = campaign.execute(campaign.plan([mle, baseline]))
    assert {r.status for r in results} <= {"scored", "failed"}
    return root / "runs", model


def exported(runs: Path, to: Path, format_: str) -> list[dict[str, Any]]:
    flags = [str(runs), "--to", str(to), "--format", format_, "--filter", "all"]
    done = subprocess.run(
        [sys.executable, "-c", "from agentbench_cli import main; main()", "export", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in to.read_text().splitlines()]


@pytest.mark.parametrize("format_", ["messages", "rows", "atif"])
def test_datasets_loads_every_format(runs: tuple[Path, Path], tmp_path: Path, format_: str) -> None:
    from datasets import load_dataset

    rows = exported(runs[0], tmp_path / "data.jsonl", format_)
    loaded = load_dataset(
        "json", data_files=str(tmp_path / "data.jsonl"), split="train", cache_dir=str(tmp_path)
    )
    assert len(loaded) == len(rows) > 0
    if format_ == "messages":
        assert json.loads(loaded[0]["tools"]) == json.loads(rows[0]["tools"])
    if format_ == "rows":
        assert loaded[0]["input_ids"] == rows[0]["input_ids"]
        written = [p for p in loaded[0]["logprobs"] if p is not None]
        assert written == pytest.approx([p for p in rows[0]["logprobs"] if p is not None])


def test_the_token_rows_are_what_the_model_wrote(runs: tuple[Path, Path], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    rows = exported(runs[0], tmp_path / "rows.jsonl", "rows")
    chats = exported(runs[0], tmp_path / "chat.jsonl", "messages")
    tokenizer: Any = AutoTokenizer.from_pretrained(str(runs[1]))
    said = [m["content"] for c in chats if c["model"] for m in c["messages"]]
    for row in rows:
        lengths = {len(row[k]) for k in ("input_ids", "assistant_masks", "logprobs", "rewards")}
        assert len(lengths) == 1
        wrote = [t for t, m in zip(row["input_ids"], row["assistant_masks"], strict=True) if m]
        assert all(
            (p is not None and p <= 0.0) == bool(m)
            for p, m in zip(row["logprobs"], row["assistant_masks"], strict=True)
        )
        text = tokenizer.decode(wrote, skip_special_tokens=True)
        assert text
        assert any(text.startswith(words[:10]) for words in said if words)


@pytest.mark.parametrize("format_", ["messages", "rows"])
def test_trl_trains_on_the_assistants_words_alone(
    runs: tuple[Path, Path], tmp_path: Path, format_: str
) -> None:
    import torch
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    exported(runs[0], tmp_path / "data.jsonl", format_)
    data = load_dataset(
        "json", data_files=str(tmp_path / "data.jsonl"), split="train", cache_dir=str(tmp_path)
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(str(runs[1]))
    tokenizer.chat_template = GENERATION
    torch.manual_seed(0)
    trainer = SFTTrainer(
        model=str(runs[1]),
        args=SFTConfig(
            output_dir=str(tmp_path / "out"),
            max_steps=1,
            max_length=2048,
            per_device_train_batch_size=1,
            assistant_only_loss=format_ == "messages",
            use_cpu=True,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=data,
        processing_class=tokenizer,
    )
    for batch in trainer.get_train_dataloader():
        scored = batch["labels"] != -100
        assert 0 < int(scored.sum()) < scored.numel()
    assert trainer.train().training_loss > 0


def test_harbor_reads_the_atif_documents(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """The published schema is harbor's pydantic models, installed without what harbor needs."""
    exported(runs[0], tmp_path / "atif.jsonl", "atif")
    site = tmp_path / "site"
    install = ["uv", "pip", "install", "-q", "--no-deps", "--python-version", "3.12"]
    subprocess.run([*install, "--target", str(site), "harbor>=0.25"], check=True)
    check = (
        "import sys\n"
        "from harbor.models.trajectories import Trajectory\n"
        "for line in open(sys.argv[1]):\n"
        "    t = Trajectory.model_validate_json(line)\n"
        "    print(t.schema_version, len(t.steps))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", check, str(tmp_path / "atif.jsonl")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(line.startswith("ATIF-v1.8 ") for line in done.stdout.splitlines())
    assert done.stdout
