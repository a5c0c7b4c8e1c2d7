"""The raw files of a full research task: fetched or given, unpacked, in one folder per source."""

import os
import shutil
from pathlib import Path

from agentbench_tasks.errors import SourceError
from agentbench_tasks.research import ResearchTask
from agentbench_tasks.source import fetch_source
from agentbench_tasks.unpack import unpack

_ARCHIVES = (".zip", ".tar.gz")
_READABLE = 0o444


def raw_files(task: ResearchTask, home: Path, raw: Path | None, scratch: Path) -> Path:
    """Fill a scratch folder with the raw files of a task, archives unpacked beside themselves.

    Args:
        task: A task that is not lite.
        home: Downloads are kept in `home/raw` and reused.
        raw: A folder with the files (`FOLDER/...` for each source) to use in their place; it is
            not changed.
        scratch: Folder to make; files are linked where the disk allows it, so that they are not
            to be written to.

    Raises:
        SourceError: The files cannot be had.
        CredentialsError: The data host refuses this user.
        UnsafeArchiveError: An archive would write outside its folder.
    """
    if raw is not None and not raw.is_dir():
        raise SourceError(f"the folder of raw files {raw} does not exist")
    if raw is not None:
        stores = {"": raw}
    elif task.sources:
        stores = {
            name: fetch_source(source, home / "raw" / name) for name, source in task.sources.items()
        }
    else:
        raise SourceError(
            f"{task.name} needs the competition's files, which have no open address: "
            f"{task.provenance.data}; give their folder as raw (agentbench-tasks prepare --raw)"
        )
    for name, store in stores.items():
        shutil.copytree(store, scratch / name, copy_function=link, dirs_exist_ok=True)
    for archive in sorted(p for p in scratch.rglob("*") if p.name.endswith(_ARCHIVES)):
        unpack(archive, archive.parent)
        archive.unlink()
    return scratch


def find(raw: Path, name: str) -> Path:
    """Return the one file or folder of this name below a folder.

    Raises:
        SourceError: There is none, or there are several.
    """
    found = sorted(p for p in raw.rglob(name) if "__MACOSX" not in p.parts)
    if len(found) != 1:
        several = "is missing" if not found else f"is there {len(found)} times"
        raise SourceError(f"raw file {name} {several} in the folder of raw files")
    return found[0]


def link(source: str | Path, target: str | Path) -> str:
    """Give a file a second name where the disk allows it, else copy it, readable by everybody."""
    origin = Path(source).resolve()
    try:
        if origin.stat().st_mode & _READABLE != _READABLE:
            raise PermissionError
        os.link(origin, target)
    except OSError:
        shutil.copyfile(origin, target)
    return str(target)


def link_model(source: Path, target: Path) -> None:
    """Link a Hugging Face model: configuration, tokenizer and safetensors weights, nothing else.

    Raises:
        SourceError: There are no safetensors weights.
    """
    kinds = {".json", ".safetensors", ".model", ".jinja", ".txt"}
    files = sorted(p for p in source.glob("*") if p.is_file() and p.suffix in kinds)
    if not any(p.suffix == ".safetensors" for p in files):
        raise SourceError(f"raw folder {source.name} holds no .safetensors weights")
    target.mkdir()
    for path in files:
        link(path, target / path.name)
