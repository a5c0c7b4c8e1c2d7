"""Files that follow the rows: images, sounds, per-item tables, copied by path templates."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from string import Formatter

import polars as pl

from agentbench_tasks.errors import PreparationError, UnsafeArchiveError
from agentbench_tasks.recipe import Media, Side

# One time for every file: when a file was made must not tell which label it has.
_TIME = (946_684_800, 946_684_800)


def template_fields(template: str) -> list[str]:
    """Columns that a path template uses, `side` left out."""
    names = [name.partition("[")[0] for _, name, _, _ in Formatter().parse(template) if name]
    return [name for name in dict.fromkeys(names) if name != "side"]


def media_columns(media: Iterable[Media]) -> list[str]:
    """Columns that the rules' templates use."""
    names = [name for rule in media for name in template_fields(rule.path + rule.to)]
    return list(dict.fromkeys(names))


def place_media(rule: Media, rows: pl.DataFrame, *, side: Side, raw: Path, public: Path) -> int:
    """Copy the files of one side.

    Args:
        rule: Where files are and where they go.
        rows: Rows of that side with the columns of the templates; repeated files are copied once.
        side: `train` or `test`.
        raw: Folder of raw files.
        public: Folder to copy into.

    Returns:
        The number of files and folders copied.

    Raises:
        PreparationError: A row's file is missing and the rule is not optional.
        UnsafeArchiveError: A value of the data would lead a path out of its folder.
    """
    copied = 0
    fields = media_columns([rule])
    exclude = rule.exclude if side == "test" else ()
    for row in rows.select(fields).unique(maintain_order=True).iter_rows(named=True):
        values = {name: str(value) for name, value in row.items()}
        source = _inside(raw, rule.path.format(**values, side=side))
        target = _inside(public, rule.to.format(**values, side=side))
        pairs = [(source, target)]
        if "*" in source.name:
            pairs = [(path, target / path.name) for path in sorted(source.parent.glob(source.name))]
        elif not source.exists():
            pairs = []
        if not pairs and not rule.optional:
            raise PreparationError(f"raw file {source.relative_to(raw)} is missing from {raw}")
        for old, new in pairs:
            place(old, new, exclude=exclude)
        copied += len(pairs)
    return copied


def place(source: Path, target: Path, *, exclude: tuple[str, ...] = ()) -> None:
    """Copy a file, or a folder without the excluded names, with a fixed time and no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignore = shutil.ignore_patterns(*exclude)
        shutil.copytree(
            source, target, ignore=ignore, copy_function=_copy, dirs_exist_ok=True, symlinks=False
        )
    else:
        _copy(str(source), str(target))


def _copy(source: str, target: str) -> str:
    shutil.copyfile(source, target)
    os.utime(target, _TIME)
    return target


def _inside(folder: Path, relative: str) -> Path:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or "\0" in relative:
        raise UnsafeArchiveError(f"the data name a file {relative!r} outside {folder}")
    return folder / path
