# pyright: basic
# (columns of tables and arrays, whose types the stubs do not know)
"""KDD Cup 2023, task 1: sessions of six Amazon locales, next items of the German, Japanese and UK.

Raw files, as AIcrowd gives them: `sessions_train.csv` (prev_items, next_item, locale),
`sessions_test_task1_phase1.csv` and `sessions_test_task1.csv` (prev_items, locale; phases 1 and 2),
`products_train.csv` (id, locale, title, ...), and `kdd-2023-ground-truth.zip` with
`ground_truth/phase{1,2}/gt_task1.csv` (next_item). `prev_items` is the text of a numpy array.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.research_data import Folders, read_arrays, write_arrays
from agentbench_tasks.research_raw import find, link
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.recommendation import score

LOCALES = ("UK", "DE", "JP", "ES", "FR", "IT")
_ITEM = r"'([^']+)'"


def build(raw: Path, into: Folders) -> None:
    """Number the items and lay the sessions out as one array with starts.

    `items` (all items of all sessions, oldest first) int32, `start` (N + 1,), `locale` (N,) numbers
    in `LOCALES`, `next_item` (N,) int32, and for train `item_ids`, the id of each number, beside
    `products.csv`. An item that is in no table has number -2 and is never found.
    """
    train = _sessions(find(raw, "sessions_train.csv"))
    tests = {
        "dev": _sessions(find(raw, "sessions_test_task1_phase1.csv")),
        "test": _sessions(find(raw, "sessions_test_task1.csv")),
    }
    products = find(raw, "products_train.csv")
    known = [pl.read_csv(products, columns=["id"], infer_schema=False)["id"], train["next_item"]]
    known += [table["items"].explode(empty_as_null=False) for table in (train, *tests.values())]
    ids = pl.concat(known).drop_nulls().unique().sort()
    numbers = pl.DataFrame({"id": ids, "number": np.arange(len(ids), dtype=np.int32)})
    text: Any = ids.to_numpy().astype(str)
    write_arrays(
        into.train,
        {
            **_arrays(train, numbers),
            "next_item": _numbered(train["next_item"], numbers),
            "item_ids": text,
        },
    )
    link(products, into.train / "products.csv")
    truth = {"dev": into.dev_labels, "test": into.test_labels}
    for (phase, table), part in zip(tests.items(), ("phase1", "phase2"), strict=True):
        write_arrays(into.dev if phase == "dev" else into.test, _arrays(table, numbers))
        labels = find(find(raw, "ground_truth") / part, "gt_task1.csv")
        answers = pl.read_csv(labels, columns=["next_item"], infer_schema=False)["next_item"]
        if len(answers) != len(table):
            raise PreparationError(
                f"{labels.name} of {part} has {len(answers)} rows for {len(table)} sessions"
            )
        write_arrays(truth[phase], {"next_item": _numbered(answers, numbers)})


def statistic(labels: Path, inputs: Path, read: OutputReader) -> Statistic:
    """Score as the lite task does: units are sessions."""
    return score.statistic(labels=read_arrays(labels), inputs=read_arrays(inputs), read=read)


def _sessions(path: Path) -> pl.DataFrame:
    table = pl.read_csv(path, infer_schema=False)
    unknown = set(table["locale"].unique()) - set(LOCALES)
    if unknown:
        raise PreparationError(f"{path.name} has unknown locales {sorted(unknown)}")
    items = pl.col("prev_items").str.extract_all(_ITEM)
    return table.with_columns(items=items.list.eval(pl.element().str.strip_chars("'")))


def _arrays(table: pl.DataFrame, numbers: pl.DataFrame) -> dict[str, Any]:
    flat = table["items"].explode(empty_as_null=False)
    return {
        "items": _numbered(flat, numbers),
        "start": np.concatenate(
            [[0], np.cumsum(table["items"].list.len().to_numpy(), dtype=np.int64)]
        ),
        "locale": np.array([LOCALES.index(x) for x in table["locale"]], np.int8),
    }


def _numbered(ids: pl.Series, numbers: pl.DataFrame) -> Any:  # noqa: ANN401 - an array
    found = ids.rename("id").to_frame().join(numbers, on="id", how="left", maintain_order="left")
    return found["number"].fill_null(-2).to_numpy()
