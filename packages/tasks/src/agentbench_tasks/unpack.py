"""Unpack archives, and refuse the ones that would write outside their folder."""

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from agentbench_tasks.errors import (
    ChangedDataError,
    MissingExtraError,
    PreparationError,
    UnsafeArchiveError,
)
from agentbench_tasks.recipe import Unpack

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".gz", ".7z")


def unpack_all(rules: tuple[Unpack, ...], folder: Path) -> None:
    """Unpack every archive that the rules name, in order, and delete it.

    Raises:
        UnsafeArchiveError: A member has an absolute path, climbs out with `..`, or is a link or a
            device.
        ChangedDataError: An archive is damaged or cut short.
        PreparationError: The disk has no room for what the archive says it holds.
    """
    for rule in rules:
        for archive in sorted(folder.glob(rule.glob)):
            unpack(archive, folder / rule.into)
            archive.unlink()


def unpack(archive: Path, into: Path) -> None:
    """Unpack one archive into a folder; see `unpack_all`."""
    into.mkdir(parents=True, exist_ok=True)
    name = archive.name
    try:
        if name.endswith(".zip"):
            _unpack_zip(archive, into)
        elif name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2")):
            _unpack_tar(archive, into)
        elif name.endswith(".gz"):
            with gzip.open(archive) as source, (into / name[: -len(".gz")]).open("wb") as target:
                shutil.copyfileobj(source, target)
        elif name.endswith(".7z"):
            _unpack_7z(archive, into)
        else:
            raise PreparationError(f"{archive}: unknown kind of archive; known: {ARCHIVE_SUFFIXES}")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ChangedDataError(f"{archive} is damaged or cut short: fetch it again") from error
    except gzip.BadGzipFile as error:
        raise ChangedDataError(f"{archive} is damaged or cut short: fetch it again") from error


def _check(archive: Path, members: Iterator[tuple[str, int]], into: Path) -> None:
    """Refuse paths that leave the folder, and contents larger than the disk."""
    total = 0
    for name, size in members:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[:1]:
            raise UnsafeArchiveError(f"{archive} holds {name!r}, which would leave {into}")
        total += size
    free = shutil.disk_usage(into).free
    if total > free:
        raise PreparationError(
            f"{archive} unpacks to {total / 2**20:.0f} MiB, but {into} has {free / 2**20:.0f} MiB"
        )


def _unpack_zip(archive: Path, into: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        _check(archive, ((item.filename, item.file_size) for item in source.infolist()), into)
        for item in source.infolist():
            if (item.external_attr >> 16) & 0o170000 == 0o120000:
                raise UnsafeArchiveError(f"{archive} holds the link {item.filename!r}")
        source.extractall(into)  # noqa: S202 - members were checked above


def _unpack_tar(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as source:
        members = source.getmembers()
        _check(archive, ((item.name, item.size) for item in members), into)
        for item in members:
            if not (item.isfile() or item.isdir()):
                raise UnsafeArchiveError(f"{archive} holds {item.name!r}, a link or a device")
        source.extractall(into, filter="data")


def _unpack_7z(archive: Path, into: Path) -> None:
    try:
        py7zr: Any = import_module("py7zr")
    except ImportError:
        raise MissingExtraError(
            f"{archive.name} is a 7z archive: pip install 'agentbench-tasks[kaggle]'"
        ) from None
    try:
        with py7zr.SevenZipFile(archive) as source:
            _check(archive, ((item.filename, item.uncompressed) for item in source.list()), into)
            source.extractall(into)  # noqa: S202 - members were checked above
    except py7zr.exceptions.Bad7zFile as error:
        raise ChangedDataError(f"{archive} is damaged or cut short: fetch it again") from error
