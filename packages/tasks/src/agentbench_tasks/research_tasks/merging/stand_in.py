# pyright: basic
# (rows of foreign files, built on the spot)
"""Two tiny models and questions in the columns of tinyBenchmarks."""

from pathlib import Path

import numpy as np
import polars as pl

from agentbench_tasks.research_tasks.tiny_language_model import write_model

WORDS = ["red", "blue", "green", "dog", "cat", "runs", "sleeps", "Question", "Answer", ":", "_"]


def write(raw: Path, rng: np.random.Generator) -> None:
    """Write the raw files: models of a vocabulary of thirteen words, eight questions a set."""
    for i, name in enumerate(("expert0", "expert1")):
        write_model(raw / name, WORDS, seed=i)

    def words(n: int) -> str:
        return " ".join(rng.choice(WORDS[:7], n))

    def some(k: int) -> list[str]:
        return [words(2) for _ in range(k)]

    labels = ["A", "B", "C", "D"]
    tables = {
        "arc": lambda i: {
            "id": str(i),
            "question": words(4),
            "choices": {"text": some(4), "label": labels},
            "answerKey": labels[i % 4],
        },
        "hellaswag": lambda i: {"ind": i, "ctx": words(5), "endings": some(4), "label": str(i % 4)},
        "mmlu": lambda i: {
            "question": words(4),
            "subject": "a",
            "choices": some(4),
            "answer": i % 4,
        },
        "truthfulqa": lambda _: {
            "question": words(4),
            "mc1_targets": {"choices": some(3), "labels": [1, 0, 0]},
        },
        "winogrande": lambda i: {
            "sentence": f"{words(2)} _ {words(2)}",
            "option1": "dog",
            "option2": "cat",
            "answer": str(i % 2 + 1),
        },
    }
    for name, row in tables.items():
        folder = raw / "questions" / name / "data"
        folder.mkdir(parents=True)
        frame = pl.DataFrame([row(i) for i in range(8)])
        frame.write_parquet(folder / "validation-00000-of-00001.parquet")
