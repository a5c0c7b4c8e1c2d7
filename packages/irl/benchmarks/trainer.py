"""Throughput and peak memory of the trainer, against itself at λ = 0 and against TRL, in one run.

    uv run --no-sync python packages/irl/benchmarks/trainer.py

A Llama of 4 layers, width 256 and a vocabulary of 32,000 (19 million parameters, most of them in
embedding and head, as in small language models) is trained on the same texts by each contender: by
`IQLearnTrainer` with λ = 0.1 and λ = 0, and by TRL's `SFTTrainer` with its default loss and with
the one that holds all logits. Everything else is the same in all: float32, AdamW, one thread,
tokens per update, and whether activations are checkpointed, which TRL does by default and
transformers does not.

Each contender is a process of its own. They take turns update by update, so that whatever else the
machine does falls on all of them alike; ratios are of one turn, and the table gives their median
with a 95 % bootstrap interval. Peak memory is what a contender's process needs beyond what it held
when its trainer was ready.
"""

import argparse
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CONTENDERS = ("IQLearn, λ = 0.1", "IQLearn, λ = 0", "TRL SFTTrainer", "TRL SFTTrainer, nll")
LAYOUTS: dict[str, dict[str, Any]] = {
    # one row per update: TRL lays several packed rows out as one, which costs it attention
    "packed": {"packing": True, "max_length": 1024, "per_device_train_batch_size": 1},
    "padded": {"packing": False, "max_length": 256, "per_device_train_batch_size": 8},
}
WARM_UP = 3


def texts(layout: str, updates: int) -> list[dict[str, str]]:
    """Return texts of which an update takes the same number of tokens in every trainer."""
    rng = random.Random(0)
    letters = "abcdefghij "
    if layout == "packed":  # 4 texts of 256 tokens with their end make a row, whatever the packer
        lengths = [255] * (4 * updates)
    else:
        lengths = [rng.randint(100, 250) for _ in range(8 * updates)]
    return [{"text": "".join(rng.choice(letters) for _ in range(n))} for n in lengths]


def work(contender: str, layout: str, *, checkpointing: bool, updates: int) -> None:
    """Train; after each update say what it cost, and wait until told to go on."""
    import torch
    from transformers import TrainerCallback

    from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    tokens: list[int] = []

    class TakeTurns(TrainerCallback):
        started = (0.0, 0.0)

        def on_train_begin(self, *_: object, **__: object) -> None:
            self.wait()

        def on_step_end(self, *_: object, **__: object) -> None:
            cpu, wall = self.started
            report = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
            say(report | {"tokens": sum(tokens)})
            tokens.clear()
            self.wait()

        def wait(self) -> None:
            sys.stdin.readline()
            self.started = time.process_time(), time.perf_counter()

    common = {
        **LAYOUTS[layout],
        "max_steps": updates,
        "learning_rate": 1e-4,
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "dataloader_pin_memory": False,
        "activation_checkpointing": checkpointing,
        "output_dir": tempfile.mkdtemp(),
    }
    model = tiny_causal_lm(vocab_size=32000, hidden_size=256, layers=4)
    model.register_forward_pre_hook(
        lambda _, __, named: tokens.append(int(named["input_ids"].numel())), with_kwargs=True
    )
    examples = texts(layout, updates)
    if contender.startswith("TRL"):
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(**common, **({"loss_type": "nll"} if "nll" in contender else {})),
            train_dataset=Dataset.from_list(examples),
            processing_class=byte_tokenizer(),
        )
    else:
        from agentbench_irl import IQLearnConfig, IQLearnTrainer

        trainer = IQLearnTrainer(
            model,
            IQLearnConfig(**common, td_weight=float(contender.rpartition("= ")[2])),
            train_dataset=examples,
            processing_class=byte_tokenizer(),
        )
    trainer.add_callback(TakeTurns())
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    trainer.train()
    say({"peak_mib": resident("VmHWM") - before})


def say(report: dict[str, Any]) -> None:
    sys.stdout.write("@" + json.dumps(report) + "\n")
    sys.stdout.flush()


def resident(name: str) -> float:
    """Return a line of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


class Worker:
    def __init__(self, contender: str, layout: str, arguments: list[str]) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the worker
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--one", contender, "--layout", layout, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def turn(self) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        self.errors.seek(0)
        raise RuntimeError(self.errors.read()[-3000:])


def interval(ratios: list[float]) -> str:
    """Return the median with a 95 % bootstrap interval."""
    rng = random.Random(0)
    draws = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(2000))
    return f"{statistics.median(ratios):.3f} [{draws[50]:.3f}, {draws[1949]:.3f}]"


def compare(layout: str, *, checkpointing: bool, updates: int) -> None:
    arguments = ["--updates", str(updates), f"--{'' if checkpointing else 'no-'}checkpointing"]
    workers = {name: Worker(name, layout, arguments) for name in CONTENDERS}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for number in range(updates):
        for name in CONTENDERS if number % 2 else CONTENDERS[::-1]:
            turns[name].append(workers[name].turn())
    peaks = {name: worker.turn()["peak_mib"] for name, worker in workers.items()}
    kept = {name: rows[WARM_UP:] for name, rows in turns.items()}
    print(
        f"\n{layout}, {'with' if checkpointing else 'without'} checkpointing, {updates} updates\n"
    )
    print("| trainer | tokens | tokens/s (CPU time) | peak MiB |\n|---|---|---|---|")
    for name, rows in kept.items():
        speed = statistics.median(row["tokens"] / row["cpu"] for row in rows)
        total = sum(row["tokens"] for row in rows)
        print(f"| {name} | {total:.0f} | {speed:.0f} | {peaks[name]:.0f} |")
    ours, *others = CONTENDERS
    print("\n| throughput of λ = 0.1 against | by CPU time | by wall time | peak memory |")
    print("|---|---|---|---|")
    for name in others:
        cells = []
        for clock in ("cpu", "wall"):
            ratios = [
                (a["tokens"] / a[clock]) / (b["tokens"] / b[clock])
                for a, b in zip(kept[ours], kept[name], strict=True)
            ]
            cells.append(interval(ratios))
        print(f"| {name} | {cells[0]} | {cells[1]} | {peaks[ours] / peaks[name]:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", help="be one contender, and wait for turns on standard input")
    parser.add_argument("--layout", choices=LAYOUTS)
    parser.add_argument("--checkpointing", action=argparse.BooleanOptionalAction)
    parser.add_argument("--updates", type=int, default=24)
    options = parser.parse_args()
    if options.one:
        work(
            options.one,
            options.layout,
            checkpointing=bool(options.checkpointing),
            updates=options.updates,
        )
        return
    for layout in [options.layout] if options.layout else LAYOUTS:
        both = options.checkpointing is None
        for checkpointing in (False, True) if both else (options.checkpointing,):
            compare(layout, checkpointing=checkpointing, updates=options.updates)


if __name__ == "__main__":
    main()
