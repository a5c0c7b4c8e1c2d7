# pyright: basic
# (columns of tables and arrays, whose types the stubs do not know)
"""LLM merging, NeurIPS 2024: two Llama-3-8B experts, asked the questions of tinyBenchmarks.

Raw files: `expert0/` (which is the base, too, as in MLRC-Bench) and `expert1/`, folders of Hugging
Face models (`config.json`, tokenizer, `*.safetensors`), and `questions/NAME/**.parquet`, the
multiple-choice sets of tinyBenchmarks in their own columns. MLRC-Bench develops on tinyBenchmarks
and tests on Kaggle, whose answers are not published; here half of each set is for development and
half is the test.
"""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from agentbench_tasks.errors import PreparationError, SourceError
from agentbench_tasks.research_data import Folders
from agentbench_tasks.research_raw import link_model
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.language_model import choice_scores, load_model
from agentbench_tasks.research_tasks.merging.metric import character_accuracy

MODELS = {"base": "expert0", "expert0": "expert0", "expert1": "expert1"}
SETS = ("arc", "hellaswag", "mmlu", "truthfulqa", "winogrande")
Question = dict[str, Any]


def build(raw: Path, into: Folders) -> None:
    """Link the models and split the questions.

    Inputs of both phases: the folders `base`, `expert0`, `expert1`; no question is shown, as in the
    competition. Labels: `questions.json`, a list of set, prompt, choices, answer.
    """
    for name, source in MODELS.items():
        for part in (into.dev, into.test):
            link_model(raw / source, part / name)
    dev, test = [], []
    rng = random.Random(int(into.seed.generate_state(1)[0]))
    for name in SETS:
        questions = _questions(raw / "questions" / name, name)
        rng.shuffle(questions)
        dev += questions[: len(questions) // 2]
        test += questions[len(questions) // 2 :]
    for labels, questions in ((into.dev_labels, dev), (into.test_labels, test)):
        (labels / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    (into.train / "README").write_text("There are no training data in this task.\n")


def statistic(labels: Path, inputs: Path, read: OutputReader) -> Statistic:
    """Units are questions; the score is a mean over sets of the part answered right.

    `model.safetensors` is loaded into the base model's architecture, never code. An answer is the
    choice of the largest log-likelihood per byte.
    """
    questions: list[Question] = json.loads((labels / "questions.json").read_text(encoding="utf-8"))
    model, tokenizer = load_model(inputs / "base", read.file("model.safetensors"))
    chosen = [
        int(np.argmax(choice_scores(model, tokenizer, q["prompt"], q["choices"])))
        for q in questions
    ]
    # Each question is an answer of one character, the number of the choice.
    answers = np.array([q["answer"] for q in questions])
    right = character_accuracy(np.array(chosen)[None, :, None], answers[None, :, None])[0]
    of = np.array([SETS.index(q["set"]) for q in questions])

    def value(units: Any) -> float:  # noqa: ANN401 - an array
        return float(np.mean([right[units][of[units] == s].mean() for s in np.unique(of[units])]))

    return Statistic(n=len(questions), value=value)


def _questions(folder: Path, name: str) -> list[Question]:
    files = sorted(
        p for p in folder.rglob("*.parquet") if p.name.startswith(("test", "validation"))
    )
    if len(files) != 1:
        raise SourceError(f"raw folder questions/{name} holds {len(files)} test or validation sets")
    rows = pl.read_parquet(files[0]).to_dicts()
    try:
        return [{"set": name, **_question(name, row)} for row in rows]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise PreparationError(f"{files[0].name} of {name} has other columns: {error!r}") from error


def _question(name: str, row: dict[str, Any]) -> Question:
    prompt = f"Question: {row['question']}\nAnswer:" if "question" in row else ""
    match name:
        case "arc":
            choices = row["choices"]["text"]
            answer = row["choices"]["label"].index(row["answerKey"])
        case "hellaswag":
            prompt, choices, answer = row["ctx"], row["endings"], int(row["label"])
        case "mmlu":
            choices, answer = row["choices"], int(row["answer"])
        case "truthfulqa":
            choices = row["mc1_targets"]["choices"]
            answer = row["mc1_targets"]["labels"].index(1)
        case _:
            before, _, after = row["sentence"].partition("_")
            choices = [f"{before}{row[k]}{after}" for k in ("option1", "option2")]
            return {"prompt": "", "choices": choices, "answer": int(row["answer"]) - 1}
    return {"prompt": prompt, "choices": [f" {c.strip()}" for c in choices], "answer": answer}
