"""Files of the names, columns and archives of KDD Cup 2023 task 1, with drawn contents."""

import zipfile
from pathlib import Path

import numpy as np
import polars as pl


def write(raw: Path, rng: np.random.Generator) -> None:
    """Write the raw files of a few hundred sessions of eighty products."""
    raw.mkdir(parents=True)
    ids = [f"B{n:09d}" for n in range(80)]

    def session() -> tuple[str, str, str]:
        first, length = int(rng.integers(80)), int(rng.integers(2, 9))
        items = [ids[(first + 3 * k) % 80] for k in range(length)]
        # numpy breaks the lines of long arrays, and so do the competition's files
        text = "[" + "\n ".join(" ".join(map(repr, items[i : i + 5])) for i in range(0, length, 5))
        return text + "]", ids[(first + 3 * length) % 80], str(rng.choice(["UK", "DE", "JP"]))

    def table(n: int, *, answers: bool) -> tuple[pl.DataFrame, list[str]]:
        rows = [session() for _ in range(n)]
        columns = {"prev_items": [r[0] for r in rows]}
        columns |= {"next_item": [r[1] for r in rows]} if answers else {}
        return pl.DataFrame({**columns, "locale": [r[2] for r in rows]}), [r[1] for r in rows]

    table(300, answers=True)[0].write_csv(raw / "sessions_train.csv")
    phase1, truth1 = table(40, answers=False)
    phase2, truth2 = table(60, answers=False)
    phase1.write_csv(raw / "sessions_test_task1_phase1.csv")
    phase2.write_csv(raw / "sessions_test_task1.csv")
    names = ("title", "price", "brand", "color", "size", "model", "material", "author", "desc")
    pl.DataFrame({"id": ids, "locale": "UK"} | {n: f"a {n}" for n in names}).write_csv(
        raw / "products_train.csv"
    )
    with zipfile.ZipFile(raw / "kdd-2023-ground-truth.zip", "w") as archive:
        for part, truth in (("phase1", truth1), ("phase2", truth2)):
            text = "next_item\n" + "\n".join(truth) + "\n"
            archive.writestr(f"ground_truth/{part}/gt_task1.csv", text)
