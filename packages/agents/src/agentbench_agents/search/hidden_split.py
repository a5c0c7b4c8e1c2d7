"""Measuring programs again on a split of the training data that the search has not seen.

The harness holds out a part of `train.csv`, runs a program as if that part were the test data, and
scores what it submits with the task's own metric. All candidates get the same split. The held-out
labels are the agent's own data, never the task's answers; they are kept out of the folder that the
program is shown, which keeps a search from overfitting to them. It is no defence against a program
that looks for the whole table elsewhere in its sandbox: what that would gain is only to be chosen.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agentbench_agents import feedback as say
from agentbench_agents.actions import Action
from agentbench_agents.episode import Outcome
from agentbench_agents.errors import AgentsError, WorkspaceError

if TYPE_CHECKING:
    import polars as pl

    from agentbench_agents.episode import Episode
    from agentbench_tasks import PreparedTask

SHARE = 0.3
_KNOWN = {"train.csv", "test.csv", "sample_submission.csv", "description.md"}


class NoSplitError(AgentsError, ValueError):
    """No hidden split can be made of a task's data; the message says why."""


@dataclass(frozen=True, slots=True)
class HiddenSplit:
    """What a program is shown, as tables of text, and the answers that are held out."""

    train: "pl.DataFrame"
    test: "pl.DataFrame"
    sample: "pl.DataFrame"
    answers: "pl.DataFrame"


def make_split(prepared: "PreparedTask", seed: int) -> HiddenSplit:
    """Hold out a `SHARE` of the rows of `train.csv`: random ones, or as the task's own split does.

    A task that splits by time has the last ones held out, one that splits by groups whole groups.

    Raises:
        NoSplitError: Not all data are in `train.csv` and `test.csv`, or the targets are no columns
            of the former.
    """
    import polars as pl

    task, public = prepared.task, prepared.public
    extra = sorted(p.name for p in public.iterdir() if p.name not in _KNOWN)
    if extra:
        raise NoSplitError(f"it has more data than one table: {', '.join(extra[:3])}")
    if not all((public / name).is_file() for name in _KNOWN):
        raise NoSplitError("it has no train.csv, test.csv and sample_submission.csv")
    tables = ("train", "test", "sample_submission")
    train, test, sample = (pl.read_csv(public / f"{t}.csv", infer_schema=False) for t in tables)
    ids, targets = list(task.submission.id), list(task.submission.columns)
    wanted = {*ids, *targets}
    if not wanted <= {*train.columns} or not {*ids} <= {*test.columns} <= {*train.columns}:
        raise NoSplitError(f"train.csv does not hold {', '.join([*ids, *targets])} for each row")
    if task.recipe.answers.metric_columns:
        raise NoSplitError("its metric needs more than the targets")
    held = _held_out(train, prepared, seed)
    rest, out = train.filter(~held), train.filter(held)
    if not len(rest) or not len(out):
        raise NoSplitError(f"its {len(train)} training rows cannot be divided")
    guess = {name: pl.lit(sample[name][0]).alias(name) for name in targets}
    return HiddenSplit(
        train=rest,
        test=out.select(test.columns),
        sample=out.select(*ids, *guess.values()),
        answers=out.select(*ids, *targets).fill_null(""),
    )


def _held_out(train: "pl.DataFrame", prepared: "PreparedTask", seed: int) -> "pl.Series":
    """A mask of the rows to hold out."""
    import polars as pl

    split, rng = prepared.task.recipe.split, Random(f"hidden split {seed}")
    if split.method in ("time", "group") and split.by in train.columns:
        values = sorted(set(train[split.by].to_list()))
        n = max(1, round(SHARE * len(values)))
        chosen = values[-n:] if split.method == "time" else rng.sample(values, n)
        return train[split.by].is_in(chosen)
    chosen_rows = set(rng.sample(range(len(train)), round(SHARE * len(train))))
    return pl.Series([i in chosen_rows for i in range(len(train))], dtype=pl.Boolean)


class Rehearse(Action):
    """Run a whole Python program on a split of the training data and score it on the rest."""

    name: ClassVar[str] = "rehearse"
    code: str = Field(description="a whole Python program", min_length=1)
    split: int = Field(description="seed of the split")

    def apply(self, episode: "Episode") -> Outcome:
        """Run it; if it is scored the status is ok and the last line is `held out: METRIC`."""
        from agentbench_scoring import (
            InvalidSubmissionError,
            UndefinedMetricError,
            score_submission,
        )
        from agentbench_tasks.grading import submission_spec

        split = make_split(episode.prepared, self.split)
        left = episode.spend.remaining_s()
        limit = episode.code_timeout_s if left is None else min(episode.code_timeout_s, left)
        with tempfile.TemporaryDirectory(prefix="agentbench-split-") as scratch:
            folder = Path(scratch) / "input"
            _write(split, folder, episode.prepared.public / "description.md")
            try:
                run = episode.workspace.run_on(folder, self.code, timeout_s=limit)
            except WorkspaceError as error:
                return Outcome(text=str(error), status="failed")
            text = say.code_output(run)
            if not run.ok or run.submission is None:
                return Outcome(text=f"{text}\nIt was not scored.", status="failed")
            spec = submission_spec(episode.task).model_copy(update={"part_column": None})
            path = Path(scratch) / "submission.csv"
            path.write_bytes(run.submission)
            try:
                value = score_submission(spec, path, split.answers).value
            except (InvalidSubmissionError, UndefinedMetricError) as error:
                return Outcome(text=f"{text}\nIt was not scored: {error}", status="failed")
        return Outcome(text=f"{text}\nheld out: {value!r}")


def held_out_metric(text: str) -> float:
    """Read the metric off the text of a rehearsal that went well."""
    return float(text.rsplit("held out: ", 1)[1])


def _write(split: HiddenSplit, folder: Path, description: Path) -> None:
    folder.mkdir()
    split.train.write_csv(folder / "train.csv")
    split.test.write_csv(folder / "test.csv")
    split.sample.write_csv(folder / "sample_submission.csv")
    (folder / "description.md").write_bytes(description.read_bytes())
