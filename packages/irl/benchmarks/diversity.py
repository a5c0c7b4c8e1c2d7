"""Entropy that is kept at equal validity, where many answers are right: a table over λ.

    uv run --no-sync python packages/irl/benchmarks/diversity.py

Tiny models learn a grammar of 8, 64 and 512 right answers from 60 examples, with `IQLearnTrainer`
and the same seeds, data and updates for every row. Validity and entropy are sums over all right
answers, so that nothing is drawn. Each model is compared at the temperature at which it answers
rightly with the probability asked for: sampling colder buys validity with entropy, and a difference
that the sampler could have made is none of the training's.
"""

import argparse
import logging
import statistics
import tempfile

import torch

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.testing import (
    PairScore,
    byte_tokenizer,
    pair_examples,
    pair_score,
    tiny_causal_lm,
)
from agentbench_irl.trainer import IQLearnTrainer

ROWS = {
    "MLE": {"td_weight": 0.0},
    "MLE, entropy 0.1": {"loss_type": "mle", "entropy_weight": 0.1},
    "GEM": {"loss_type": "gem"},
    "DFT": {"loss_type": "dft"},
    "IQLearn, λ = 0.03": {"td_weight": 0.03},
    "IQLearn, λ = 0.1": {"td_weight": 0.1},
    "IQLearn, λ = 0.3": {"td_weight": 0.3},
    "IQLearn, λ = 1": {"td_weight": 1.0},
}
STUDENT = {4: 3.182, 5: 2.776, 8: 2.365, 10: 2.262, 12: 2.201, 16: 2.131, 20: 2.093}  # 97.5 %


def scores(
    options: dict[str, object], *, seed: int, updates: int, validity: float
) -> tuple[PairScore, PairScore]:
    """Train once; return how the model answers at temperature 1 and at the validity asked for."""
    config = IQLearnConfig(
        output_dir=tempfile.mkdtemp(),
        max_steps=updates,
        learning_rate=1e-2,
        per_device_train_batch_size=16,
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        use_cpu=True,
        seed=seed,
        **options,
    )
    tokenizer, model = byte_tokenizer(), tiny_causal_lm(seed=seed, layers=1)
    examples = pair_examples(60, seed=seed)
    trainer = IQLearnTrainer(model, config, train_dataset=examples, processing_class=tokenizer)
    trainer.remove_callback(trainer.callback_handler.callbacks[-1])  # prints a summary
    trainer.train()
    return pair_score(model, tokenizer), pair_score(model, tokenizer, validity=validity)


def interval(values: list[float]) -> str:
    """Return the mean and half its 95 % interval by Student's t."""
    half = STUDENT[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, choices=STUDENT)
    parser.add_argument("--updates", type=int, default=120)
    parser.add_argument("--validity", type=float, default=0.9)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    print(f"{options.seeds} seeds, {options.updates} updates, entropy in nats per pair of ln 8\n")
    at = f"entropy at validity {options.validity:g}"
    print(f"| training | validity at T = 1 | entropy at T = 1 | {at} | less MLE's, paired |")
    print("|---|---|---|---|---|")
    mle: list[float] = []
    for name in options.rows:
        found = [
            scores(ROWS[name], seed=seed, updates=options.updates, validity=options.validity)
            for seed in range(options.seeds)
        ]
        plain, tuned = zip(*found, strict=True)
        kept = [one.entropy for one in tuned]
        mle = mle or kept
        cells = (
            interval([one.validity for one in plain]),
            interval([one.entropy for one in plain]),
            interval(kept),
            "" if kept is mle else interval([a - b for a, b in zip(kept, mle, strict=True)]),
        )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
