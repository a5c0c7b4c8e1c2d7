"""The recipe: how raw files become `public/` and `private/`, as data.

A recipe is read top to bottom: fetch, unpack, read one main table, transform it, split its rows,
write train and test, filter side tables and media by the split, and write the answers apart.
Nothing here runs; `prepare.py` carries a recipe out.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from agentbench_tasks.record import Record, expand_names
from agentbench_tasks.transforms import Transform

Side = Literal["train", "test"]


class KaggleSource(Record):
    """A Kaggle competition, fetched with the official client and the user's own account."""

    provider: Literal["kaggle"]
    competition: str
    sha256: dict[str, str] = Field(default_factory=dict[str, str])


class UrlSource(Record):
    """Files behind plain addresses: file name to address."""

    provider: Literal["url"]
    files: dict[str, str]
    sha256: dict[str, str] = Field(default_factory=dict[str, str])


class HuggingFaceSource(Record):
    """Files of a Hugging Face repository; a name with `*` is a pattern."""

    provider: Literal["huggingface"]
    repository: str
    repository_type: Literal["dataset", "model"] = "dataset"
    files: tuple[str, ...]
    revision: str = "main"
    sha256: dict[str, str] = Field(default_factory=dict[str, str])


class LocalSource(Record):
    """A folder on this machine; a relative path is taken from the task file's folder."""

    provider: Literal["local"]
    path: str
    sha256: dict[str, str] = Field(default_factory=dict[str, str])


class EmbeddedSource(Record):
    """Data that ships inside an installed package, or that a seeded generator makes."""

    provider: Literal["embedded"]
    dataset: str
    sha256: dict[str, str] = Field(default_factory=dict[str, str])


Source = Annotated[
    KaggleSource | UrlSource | HuggingFaceSource | LocalSource | EmbeddedSource,
    Field(discriminator="provider"),
]


class Unpack(Record):
    """Archives to unpack: a glob under the raw folder, and the folder to unpack into."""

    glob: str
    into: str = "."


class Join(Record):
    """A table whose columns are added to the main table."""

    path: str
    on: tuple[str, ...]
    format: Literal["csv", "tsv", "parquet", "json", "jsonl"] = "csv"
    columns: tuple[str, ...] = ()
    how: Literal["left", "inner"] = "left"


class Read(Record):
    """One file, or one pattern of files, read as rows of the main table.

    Args:
        path: A file under the raw folder, or a pattern of files such as `train/{label}/{name}.jpg`
            whose fields become columns.
        format: How the bytes are read. CSV and TSV keep every value as the text it is; `lines`
            gives one row per line of text, `files` one row per file (its name only), `coco` one
            row per image of a COCO annotation file, `npy` one row per entry of an array.
        header: Column names for a file without a header line.
        columns: Keep only these, in this order.
        rename: New column names.
        where: Keep rows whose column has one of these values.
        not_null: Drop rows in which one of these columns is empty.
        side: With split method `given`: the side that these rows belong to.
        join: Tables whose columns are added.
        transforms: Applied in order to these rows.
        encoding: Of a CSV or TSV file.
    """

    path: str
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "npy", "lines", "files", "coco"] = (
        "csv"
    )
    header: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rename: dict[str, str] = Field(default_factory=dict[str, str])
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    not_null: tuple[str, ...] = ()
    side: Side | None = None
    join: tuple[Join, ...] = ()
    transforms: tuple[Transform, ...] = ()
    encoding: Literal["utf8", "latin-1"] = "utf8"


class Split(Record):
    """Which rows are held out.

    Args:
        method: `random` rows; whole values of `by` for `group`; the last values of `by` for `time`;
            the share `test` of every value of `by` for `per_class`; the sides that the files name
            for `given`; the rows whose `by` is listed in `ids` for `fixed_ids`.
        test: Share of the rows (of the groups, of the times) held out.
        n: Number held out, in place of a share.
        stratify: Column whose values keep their shares on both sides (`random` only).
        by: The column that the method looks at.
        seed: Seed of the drawing.
    """

    method: Literal["random", "group", "time", "per_class", "given", "fixed_ids"] = "random"
    test: float | None = Field(default=None, gt=0, lt=1)
    n: int | None = Field(default=None, gt=0)
    stratify: str | None = None
    by: str | None = None
    ids: tuple[str, ...] = ()
    seed: int = 0

    @model_validator(mode="after")
    def _complete(self) -> Self:
        sized = self.method not in {"given", "fixed_ids"}
        if sized and (self.test is None) == (self.n is None):
            raise ValueError(f"split method {self.method!r} needs exactly one of test and n")
        if self.method in {"group", "time", "per_class", "fixed_ids"} and self.by is None:
            raise ValueError(f"split method {self.method!r} needs by, the column it looks at")
        if self.method == "fixed_ids" and not self.ids:
            raise ValueError("split method 'fixed_ids' needs ids")
        return self


class Table(Record):
    """A side table that is split with the main one: rows go where their `key` went.

    Args:
        path: File under the raw folder.
        key: Column shared with the main table.
        to: Output path; `{side}` becomes train or test.
        format: How the file is read; it is written as CSV, or as parquet for parquet.
        drop_in_test: Columns that would tell the answers.
        sides: Sides to write.
    """

    path: str
    key: str
    to: str
    format: Literal["csv", "tsv", "parquet"] = "csv"
    drop_in_test: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ("train", "test")


class Media(Record):
    """One file or folder per row, copied by a path template over the row's columns.

    Args:
        path: Template under the raw folder, e.g. `train/{id}.jpg` or `train/{id[0]}/{id}.npy`; a
            folder is copied whole; with a `*`, every match goes into the folder `to`.
        to: Template under public; `{side}` is train or test.
        optional: Whether a row may have no such file.
        sides: Sides to copy.
        exclude: Globs, inside a copied folder, of files that would tell the answers (test only).
    """

    path: str
    to: str
    optional: bool = False
    sides: tuple[Side, ...] = ("train", "test")
    exclude: tuple[str, ...] = ()


class Answers(Record):
    """How test rows become the answer table.

    Args:
        transforms: Applied in order to the test rows.
        extra: Columns beside ids and targets that the metric needs (weights, groups).
        metric_columns: Where the metric's own fields and parameters stand, if not under the
            predicted columns' names: `sample_weight: weight`.
        part_by: Column whose values stay together in one part (public or private).
        public: Share of the answers in the public part, whose score an agent may see; 0 where the
            test side is too small to be cut in two.
    """

    transforms: tuple[Transform, ...] = ()
    extra: tuple[str, ...] = ()
    metric_columns: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict[str, str | tuple[str, ...]]
    )
    part_by: str | None = None
    public: float = Field(default=0.3, ge=0, lt=1)


class Checks(Record):
    """What must hold of the prepared data, or the preparation fails; stand-ins are not checked.

    Args:
        rows: Number of rows by public table.
        disjoint: Columns no value of which may stand in the train and in the test table.
        sha256: Digest by prepared file, `public/...` or `private/...`: reference scores hold for
            these bytes only.
    """

    rows: dict[str, int] = Field(default_factory=dict[str, int])
    disjoint: tuple[str, ...] = ()
    sha256: dict[str, str] = Field(default_factory=dict[str, str])


class Recipe(Record):
    """Everything needed to prepare a task from its raw files.

    Args:
        source: Where the raw files come from.
        unpack: Archives among them.
        read: The main table; several entries are stacked.
        transforms: Applied in order to the main table before the split.
        split: Which rows are held out.
        test_transforms: Applied in order to the test rows.
        view: Applied, further, to what the agent sees of the test rows.
        targets: Columns of the main table that the test side must not have.
        drop_in_test: Further columns the test side must not have.
        drop: Columns that neither side has.
        train: Name of the training table under public (suffix csv, jsonl or parquet); None for a
            task whose training data are media or side tables only.
        test: Name of the test table under public.
        tables: Side tables that follow the split.
        media: Files and folders that follow the split.
        copy_files: Files copied unchanged: globs under the raw folder.
        answers: How test rows become answers.
        sample: Values of the sample submission by column, `*` for all others: a constant; `mean`,
            `median` or `mode` of the training side; `sorted`, the answer's words in alphabetical
            order; or `=name`, the value of an answer column that the agent sees anyway.
        checks: What must hold of the result.
        hook: Name of the module in `hooks/` that turns raw files no format above can read into
            files that one can.
    """

    source: Source
    unpack: tuple[Unpack, ...] = ()
    read: tuple[Read, ...]
    transforms: tuple[Transform, ...] = ()
    split: Split
    test_transforms: tuple[Transform, ...] = ()
    view: tuple[Transform, ...] = ()
    targets: tuple[str, ...]
    drop_in_test: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    train: str | None = "train.csv"
    test: str = "test.csv"
    tables: tuple[Table, ...] = ()
    media: tuple[Media, ...] = ()
    copy_files: tuple[str, ...] = ()
    answers: Answers = Answers()
    sample: dict[str, Any]
    checks: Checks = Checks()
    hook: str | None = None

    @field_validator("targets", "drop_in_test", "drop")
    @classmethod
    def _written_out(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(expand_names(names))

    @model_validator(mode="after")
    def _given_sides(self) -> Self:
        given = self.split.method == "given"
        if given != all(read.side is not None for read in self.read):
            raise ValueError("side belongs to every entry of read with split method 'given' only")
        return self
