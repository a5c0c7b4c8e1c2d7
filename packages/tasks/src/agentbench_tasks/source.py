"""Where raw files come from: Kaggle, plain addresses, Hugging Face, a folder, a package."""

import os
import shutil
import urllib.error
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import RootModel, ValidationError

from agentbench_tasks.errors import (
    ChangedDataError,
    CredentialsError,
    MissingExtraError,
    SourceError,
)
from agentbench_tasks.kaggle import BOARD, fetch_board, fetch_competition
from agentbench_tasks.manifest import FileRecord, check_files, hash_file, list_files
from agentbench_tasks.recipe import (
    EmbeddedSource,
    HuggingFaceSource,
    KaggleSource,
    LocalSource,
    Source,
    UrlSource,
)
from agentbench_tasks.task import Task
from agentbench_tasks.unpack import unpack

_TIMEOUT_S = 60
_FETCHED = "raw.json"


def fetch(task: Task, scratch: Path, *, home: Path, raw: Path | None = None) -> Path:
    """Fill a scratch folder with the task's raw files.

    Downloads are kept in `home/raw` (for Kaggle in a folder of the competition, which variants
    share) and reused; a download that was cut short is resumed. The SHA-256 of everything fetched
    is kept beside it, so that a file that changed afterwards is refused.

    Args:
        task: The task; its recipe names the source.
        scratch: Folder to fill; it is thrown away after the preparation.
        home: The task's folder under the root.
        raw: A folder to use instead of the source; it is not changed.

    Returns:
        `scratch`.

    Raises:
        SourceError: The files cannot be had.
        CredentialsError: The data host refuses this user.
        ChangedDataError: A file differs from its recorded checksum.
    """
    source = task.recipe.source
    scratch.mkdir(parents=True)
    store = _store(source, scratch, home) if raw is None else raw
    if not store.is_dir():
        raise SourceError(f"the folder of raw files {store} does not exist")
    if raw is None and isinstance(source, KaggleSource | HuggingFaceSource | UrlSource):
        _unchanged(store)
    _verify(store, source.sha256)
    if store != scratch:
        shutil.copytree(store, scratch, copy_function=_link, dirs_exist_ok=True)
    if isinstance(source, KaggleSource):
        bundle = scratch / f"{source.competition}.zip"
        if bundle.is_file():
            unpack(bundle, scratch)
            bundle.unlink()
    return scratch


def fetch_source(source: Source, home: Path) -> Path:
    """Fetch what one source gives, and return the folder that holds it.

    Args:
        source: Any source but an embedded one.
        home: Downloads are kept in `home/raw` and reused.

    Raises:
        SourceError: The files cannot be had.
        CredentialsError: The data host refuses this user.
        ChangedDataError: A file differs from its recorded checksum.
    """
    home.mkdir(parents=True, exist_ok=True)
    store = _store(source, home / "made", home)
    if not store.is_dir():
        raise SourceError(f"the folder of raw files {store} does not exist")
    _unchanged(store)
    _verify(store, source.sha256)
    return store


def _store(source: Source, scratch: Path, home: Path) -> Path:
    """The folder that holds what the source gives, fetched if it must be."""
    store = home / "raw"
    match source:
        case EmbeddedSource():
            import_module("agentbench_tasks.embedded").write_dataset(source.dataset, scratch)
            return scratch
        case LocalSource():
            return Path(source.path)
        case KaggleSource():
            return _kaggle(source, home.with_name(source.competition))
        case HuggingFaceSource():
            _hugging_face(source, store)
        case UrlSource():
            _urls(source, store)
    return store


_Files = RootModel[dict[str, FileRecord]]


def _unchanged(store: Path) -> None:
    """Record what was fetched the first time, and compare with that ever after."""
    path = store.with_name(_FETCHED)
    if not path.is_file():
        whole = path.with_name(f".{path.name}")
        whole.write_text(_Files(list_files(store)).model_dump_json(indent=1), encoding="utf-8")
        whole.rename(path)
        return
    try:
        files = _Files.model_validate_json(path.read_bytes()).root
    except ValidationError:
        raise ChangedDataError(f"{path} is damaged: remove it and {store}") from None
    check_files(store, files)


def _verify(store: Path, checksums: dict[str, str]) -> None:
    for name, digest in checksums.items():
        if not (store / name).is_file():
            raise SourceError(f"raw file {name} is missing from {store}")
        if hash_file(store / name) != digest:
            raise ChangedDataError(
                f"{store / name} is not the file that this task was made for: its SHA-256 is not"
                f" {digest}"
            )


def _link(source: str, target: str) -> str:
    """A second name for the same bytes where the disk allows it, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _kaggle(source: KaggleSource, home: Path) -> Path:
    """Raw files and, where the account may see it, the leaderboard; shared by all variants."""
    home.mkdir(exist_ok=True)
    store, partial = home / "raw", home / ".raw-partial"
    if not store.is_dir():
        fetch_competition(source.competition, partial)
        partial.rename(store)
    if not (home / BOARD).exists():
        fetch_board(source.competition, home / BOARD)
    return store


def _hugging_face(source: HuggingFaceSource, store: Path) -> None:
    try:
        hub: Any = import_module("huggingface_hub")
    except ImportError:
        raise MissingExtraError(
            "fetching from Hugging Face: pip install 'agentbench-tasks[huggingface]'"
        ) from None
    page = f"https://huggingface.co/{'datasets/' if source.repository_type == 'dataset' else ''}"
    for name in source.files:
        if (store / name).is_file() or ("*" in name and any(store.glob(name))):
            continue
        try:
            hub.snapshot_download(
                source.repository,
                repo_type=source.repository_type,
                revision=source.revision,
                allow_patterns=[name],
                local_dir=str(store),
            )
        except (hub.errors.GatedRepoError, hub.errors.RepositoryNotFoundError) as error:
            raise CredentialsError(
                f"Hugging Face does not give {source.repository} to this user: ask for access at"
                f" {page}{source.repository} and log in with `hf auth login`"
            ) from error
        except (hub.errors.HfHubHTTPError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise SourceError(f"cannot fetch {name} of {source.repository}: {reason}") from error
        if not any(store.glob(name)):
            raise SourceError(f"{source.repository} has no file {name}")


def _urls(source: UrlSource, store: Path) -> None:
    store.mkdir(parents=True, exist_ok=True)
    for name, url in source.files.items():
        if not (store / name).is_file():
            _download(url, store / name)


def _download(url: str, target: Path) -> None:
    """Fetch one file; what an earlier attempt fetched is kept and continued."""
    if not url.startswith(("https://", "http://")):
        raise SourceError(f"cannot fetch {url}: only http and https addresses")
    partial = target.with_name(target.name + ".partial")
    done = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            resumed = done > 0 and answer.status == 206
            with partial.open("ab" if resumed else "wb") as file:
                shutil.copyfileobj(answer, file)
            expected = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        if error.code in {401, 403}:
            raise CredentialsError(f"{url} answered {error.code}: access refused") from error
        raise SourceError(f"{url} answered {error.code}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise SourceError(f"cannot fetch {url}: {error}") from error
    size = partial.stat().st_size - (done if resumed else 0)
    if expected is not None and size != int(expected):
        raise SourceError(f"{url} was cut short at {size} of {expected} bytes: run again to go on")
    partial.rename(target)
