# pyright: basic
# (columns of tables and arrays, whose types the stubs do not know)
"""Cross-domain meta-learning, NeurIPS 2022: ten data sets of Meta-Album, images of 128 x 128.

Raw files: `public_data.zip` of the competition with a folder for each data set: `images/`,
`labels.csv` (FILE_NAME, CATEGORY, ...) and `info.json`, which may name these columns otherwise.
As in MLRC-Bench, development trains on the first three data sets and is tested on the next two,
and the test trains on these five and is tested on the other five.
"""

import csv
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from agentbench_tasks.errors import MissingExtraError, PreparationError, SourceError
from agentbench_tasks.research_data import Folders, read_arrays, write_arrays
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.meta_learning import score

TRAIN, DEV = ("BCT", "BRD", "CRS"), ("FLW", "MD_MIX")
TEST = ("PLK", "PLT_VIL", "RESISC", "SPT", "TEX")
SIDE, TASKS = 128, 600
WAYS, SHOTS, QUERIES = (2, 20), (1, 20), 20
Array = np.ndarray[Any, Any]


def build(raw: Path, into: Folders) -> None:
    """Write each data set as images by class, and draw few-shot tasks with a secret seed.

    Train: `NAME.images` (M, 128, 128, 3) uint8 and `NAME.label` (M,). Dev and test: `images`, all
    images of the phase in an order that says nothing; for each task rows of it, `support` with
    `support_label` and `support_task`, `query` with `query_task`; and `ways` (tasks,). Half of each
    class serves as support in all tasks and half as query, so that no query is answered by
    another task's support. Test also has `NAME.images` and `NAME.label` of the development sets.
    """
    seeds = dict(zip(("dev", "test"), into.seed.spawn(2), strict=True))
    sets = {name: _images(raw, name) for name in (*TRAIN, *DEV, *TEST)}
    write_arrays(into.train, _labelled(sets, TRAIN))
    inputs, labels = _tasks([sets[n] for n in DEV], np.random.default_rng(seeds["dev"]))
    write_arrays(into.dev, inputs)
    write_arrays(into.dev_labels, labels)
    inputs, labels = _tasks([sets[n] for n in TEST], np.random.default_rng(seeds["test"]))
    write_arrays(into.test, {**inputs, **_labelled(sets, DEV)})
    write_arrays(into.test_labels, labels)


def statistic(labels: Path, inputs: Path, read: OutputReader) -> Statistic:
    """Score as the lite task does: units are few-shot tasks."""
    return score.statistic(labels=read_arrays(labels), inputs=read_arrays(inputs), read=read)


def _labelled(sets: dict[str, tuple[Array, Array]], names: tuple[str, ...]) -> dict[str, Array]:
    arrays = {f"{name}.images": sets[name][0] for name in names}
    return arrays | {f"{name}.label": sets[name][1] for name in names}


def _images(raw: Path, name: str) -> tuple[Array, Array]:
    folders = [p.parent for p in raw.rglob(f"{name}/labels.csv")]
    if len(folders) != 1:
        raise SourceError(f"raw file {name}/labels.csv is there {len(folders)} times")
    folder = folders[0]
    try:
        image: Any = import_module("PIL.Image")
    except ImportError:
        raise MissingExtraError(
            "reading images: pip install 'agentbench-tasks[research]'"
        ) from None
    info = folder / "info.json"
    about = json.loads(info.read_text(encoding="utf-8")) if info.is_file() else {}
    file_column = about.get("image_column_name", "FILE_NAME")
    label_column = about.get("category_column_name", "CATEGORY")
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted((row[file_column], row[label_column]) for row in csv.DictReader(file))
    pixels = np.empty((len(rows), SIDE, SIDE, 3), np.uint8)
    for out, (file_name, _) in zip(pixels, rows, strict=True):
        with image.open(folder / "images" / Path(file_name).name) as picture:
            out[:] = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)))
    return pixels, np.unique([label for _, label in rows], return_inverse=True)[1].astype(np.int16)


def _tasks(
    sets: list[tuple[Array, Array]], rng: np.random.Generator
) -> tuple[dict[str, Array], dict[str, Array]]:
    images = np.concatenate([pixels for pixels, _ in sets])
    order = rng.permutation(len(images))
    place = np.argsort(order)
    first = np.cumsum([0, *(len(pixels) for pixels, _ in sets)])
    parts: dict[str, list[Array]] = {k: [] for k in ("s", "sl", "st", "q", "ql", "qt")}
    ways, domain = [], []
    for d, (_, label) in enumerate(sets):
        rows = [place[first[d] + np.flatnonzero(label == c)] for c in range(int(label.max()) + 1)]
        halves = [np.array_split(rng.permutation(r), 2) for r in rows if len(r) >= 2]
        if len(halves) < WAYS[0]:
            raise PreparationError(f"a data set has {len(halves)} classes of two images or more")
        for _ in range(TASKS):
            task, way = len(ways), int(rng.integers(WAYS[0], min(WAYS[1], len(halves)) + 1))
            shot = int(rng.integers(SHOTS[0], SHOTS[1] + 1))
            ways.append(way)
            domain.append(d)
            for number, c in enumerate(rng.permutation(len(halves))[:way]):
                support, query = (rng.permutation(half) for half in halves[c])
                for kind, chosen in (("s", support[:shot]), ("q", query[:QUERIES])):
                    parts[kind].append(chosen)
                    parts[kind + "l"].append(np.full(len(chosen), number, np.int16))
                    parts[kind + "t"].append(np.full(len(chosen), task, np.int32))
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    shuffled = rng.permutation(len(joined["q"]))
    inputs = {
        "images": images[order],
        "support": joined["s"],
        "support_label": joined["sl"],
        "support_task": joined["st"],
        "query": joined["q"][shuffled],
        "query_task": joined["qt"][shuffled],
        "ways": np.array(ways, np.int16),
    }
    labels = {"query_label": joined["ql"][shuffled], "task_domain": np.array(domain, np.int16)}
    return inputs, labels
