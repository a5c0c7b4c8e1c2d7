"""MLSP 2013 birds: three irregular text files to one table of recordings and their species."""

from pathlib import Path

import polars as pl

from agentbench_tasks.errors import PreparationError


def convert(raw: Path) -> None:
    """Write `labels.csv` (rec_id, filename, labels) of the recordings whose labels are known."""
    folder = raw / "mlsp_contest_dataset" / "essential_data"
    names = dict(_pairs(folder / "rec_id2filename.txt"))
    folds = dict(_pairs(folder / "CVfolds_2.txt"))
    rows: list[dict[str, str]] = []
    for rec_id, labels in _pairs(folder / "rec_labels_test_hidden.txt"):
        if folds.get(rec_id) == "0":  # fold 1 is the competition's own test set: labels hidden
            species = " ".join(labels.split(","))
            rows.append({"rec_id": rec_id, "filename": names[rec_id], "labels": species})
    pl.DataFrame(rows).write_csv(raw / "labels.csv")


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Lines `key,rest`, without the header line."""
    if not path.is_file():
        raise PreparationError(f"raw file {path.name} is missing from {path.parent}")
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    pairs = [line.strip().partition(",") for line in lines if line.strip()]
    return [(key, rest) for key, _, rest in pairs]


def disguise(raw: Path) -> None:
    """The reverse of `convert`, for stand-ins: `labels.csv` into the three text files."""
    folder = raw / "mlsp_contest_dataset" / "essential_data"
    rows = pl.read_csv(raw / "labels.csv", infer_schema=False).rows()
    (folder / "rec_id2filename.txt").write_text(_lines("rec_id,filename", rows, 1))
    (folder / "rec_labels_test_hidden.txt").write_text(_lines("rec_id,[labels]", rows, 2))
    folds = [(rec_id, "0") for rec_id, *_ in rows]
    (folder / "CVfolds_2.txt").write_text(_lines("rec_id,fold", folds, 1))
    (folder / "species_list.txt").write_text("class_id,code,species\n")
    (raw / "labels.csv").unlink()


def _lines(head: str, rows: list[tuple[str, ...]], place: int) -> str:
    return "\n".join([head, *(f"{row[0]},{row[place].replace(' ', ',')}" for row in rows)])
