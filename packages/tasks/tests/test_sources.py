"""Bad input on the way in: every failure is one sentence, and nothing is left half-made."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentbench_tasks import (
    ChangedDataError,
    PreparationError,
    SourceError,
    SubmissionTask,
    UnsafeArchiveError,
    load_task,
    prepare,
)
from agentbench_tasks.cli import main
from agentbench_tasks.manifest import hash_file
from agentbench_tasks.unpack import unpack

CSV = "id,x,y\n" + "".join(f"{i},{i * i % 17},{i % 2}\n" for i in range(60))


def small(source: dict[str, object], **recipe: object) -> SubmissionTask:
    record = load_task("breast-cancer").model_dump(mode="json")
    record |= {"name": "small", "anchors": {}}
    record["submission"]["columns"] = {"y": {"type": "float"}}
    record["recipe"] |= {
        "source": source,
        "read": [{"path": "data.csv"}],
        "split": {"method": "random", "test": 0.3},
        "targets": ["y"],
        "sample": {"y": 0.5},
        "checks": {},
        **recipe,
    }
    return SubmissionTask.model_validate(record)


def raw_folder(tmp_path: Path, text: str = CSV) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "data.csv").write_text(text, "utf-8")
    return folder


def nothing_made(root: Path) -> bool:
    home = root / "small"
    return not home.exists() or not [p for p in home.iterdir() if p.name != "raw"]


def test_a_local_folder_is_prepared_and_left_alone(tmp_path: Path) -> None:
    folder = raw_folder(tmp_path)
    archive = folder / "more.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("notes.txt", "hello")
    task = small(
        {"provider": "local", "path": str(folder)},
        unpack=[{"glob": "*.zip"}],
        copy_files=["notes.txt"],
    )
    prepared = prepare(task, tmp_path / "root")
    assert (prepared.public / "notes.txt").read_text("utf-8") == "hello"
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "more.zip"]


@pytest.mark.parametrize(
    ("text", "recipe", "words"),
    [
        (CSV.replace("id,x,y", "id,x,z"), {}, "y"),
        ("id,x,y\n1,2,0\n", {}, "both sides need rows"),
        (CSV.replace("5,8,1", "4,8,1"), {}, "ids of the answers are not unique"),
        (CSV, {"read": [{"path": "other.csv"}]}, "other.csv is missing"),
        (CSV, {"copy_files": ["*.md"]}, "no raw file fits"),
        (CSV, {"media": [{"path": "{x}.png", "to": "{x}.png"}]}, "is missing"),
        (CSV, {"split": {"method": "group", "by": "z", "test": 0.5}}, "z"),
    ],
    ids=["no target", "one row", "same ids", "no table", "no copy", "no media", "no group"],
)
def test_raw_files_that_do_not_fit(
    tmp_path: Path, text: str, recipe: dict[str, Any], words: str
) -> None:
    folder = raw_folder(tmp_path, text)
    if words.startswith("ids of"):
        recipe = {"split": {"method": "fixed_ids", "by": "id", "ids": ["4"]}}
    task = small({"provider": "local", "path": str(folder)}, **recipe)
    with pytest.raises(PreparationError, match=words):
        prepare(task, tmp_path / "root")
    assert nothing_made(tmp_path / "root")


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ({"rows": {"train.csv": 42, "test.csv": 17}}, r"test\.csv has 18 rows, not 17"),
        ({"disjoint": ["x"]}, r"\d+ values of x stand in train and in test"),
        ({"sha256": {"private/answers.csv": "0" * 64}}, r"private/answers\.csv is not the file"),
        ({"sha256": {"public/more.csv": "0" * 64}}, r"public/more\.csv is not there"),
    ],
    ids=["rows", "shared values", "other bytes", "no file"],
)
def test_a_check_of_the_recipe_that_fails(
    tmp_path: Path, checks: dict[str, Any], words: str
) -> None:
    folder = raw_folder(tmp_path)
    task = small({"provider": "local", "path": str(folder)}, checks=checks)
    with pytest.raises((PreparationError, ChangedDataError), match=words):
        prepare(task, tmp_path / "root")
    assert nothing_made(tmp_path / "root")


def test_checks_that_hold(tmp_path: Path) -> None:
    folder = raw_folder(tmp_path)
    plain = small({"provider": "local", "path": str(folder)})
    prepared = prepare(plain, tmp_path / "root")
    digest = hash_file(prepared.private / "answers.csv")
    checks = {
        "rows": {"train.csv": 42, "test.csv": 18},
        "disjoint": ["id"],
        "sha256": {"private/answers.csv": digest},
    }
    checked = small({"provider": "local", "path": str(folder)}, checks=checks)
    assert prepare(checked, tmp_path / "other").digest == prepared.digest


def test_a_value_of_the_data_cannot_lead_out(tmp_path: Path) -> None:
    folder = raw_folder(tmp_path, CSV.replace("5,8,1", "5,../../8,1"))
    task = small(
        {"provider": "local", "path": str(folder)},
        media=[{"path": "{x}", "to": "{side}/{x}", "optional": True}],
    )
    with pytest.raises(UnsafeArchiveError, match="outside"):
        prepare(task, tmp_path / "root")
    assert nothing_made(tmp_path / "root")


def test_a_changed_raw_file_is_refused(tmp_path: Path) -> None:
    folder = raw_folder(tmp_path)
    digest = hash_file(folder / "data.csv")
    task = small({"provider": "local", "path": str(folder), "sha256": {"data.csv": digest}})
    prepare(task, tmp_path / "root")
    (folder / "data.csv").write_text(CSV + "99,1,1\n", "utf-8")
    with pytest.raises(ChangedDataError, match=r"data\.csv is not the file"):
        prepare(task, tmp_path / "other")
    assert nothing_made(tmp_path / "other")


def zip_of(path: Path, name: str, *, link: bool = False) -> Path:
    info = zipfile.ZipInfo(name)
    if link:
        info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return path


def tar_of(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(info, io.BytesIO())
    return path


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "..\\out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_climbs_out_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    make = zip_of if kind == "zip" else tar_of
    archive = make(tmp_path / f"a.{'zip' if kind == 'zip' else 'tar.gz'}", name)
    with pytest.raises(UnsafeArchiveError, match=r"out\.txt"):
        unpack(archive, tmp_path / "into")
    assert not (tmp_path / "out.txt").exists()
    assert list((tmp_path / "into").iterdir()) == []


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    for archive in (
        zip_of(tmp_path / "a.zip", "link", link=True),
        tar_of(tmp_path / "a.tar.gz", "link", tarfile.SYMTYPE),
        tar_of(tmp_path / "b.tar.gz", "link", tarfile.LNKTYPE),
        tar_of(tmp_path / "c.tar.gz", "device", tarfile.CHRTYPE),
    ):
        with pytest.raises(UnsafeArchiveError, match="link"):
            unpack(archive, tmp_path / "into")


@pytest.mark.parametrize("suffix", ["zip", "tar.gz", "gz"])
def test_an_archive_cut_short_says_so(tmp_path: Path, suffix: str) -> None:
    archive = tmp_path / f"data.{suffix}"
    noise = os.urandom(20_000)
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("data.csv", noise)
    elif suffix == "gz":
        archive.write_bytes(gzip.compress(noise))
    else:
        (tmp_path / "data.csv").write_bytes(noise)
        with tarfile.open(archive, "w:gz") as file:
            file.add(tmp_path / "data.csv", "data.csv")
    archive.write_bytes(archive.read_bytes()[:9_000])
    with pytest.raises(ChangedDataError, match="damaged or cut short"):
        unpack(archive, tmp_path / "into")


@contextmanager
def server(
    body: bytes, *, status: int = 200, cut: int | None = None, port: int = 0
) -> Generator[str]:
    """A real HTTP server; the first answer stops after `cut` bytes, later ones honour Range."""
    calls: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            calls.append(self.path)
            self.send_response(206 if start and status == 200 else status)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = cut if cut is not None and len(calls) == 1 else len(body)
            self.wfile.write(body[start:end])

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    class Local(ThreadingHTTPServer):
        allow_reuse_address = True

    with Local(("127.0.0.1", port), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/data.csv"
        finally:
            listening.shutdown()
            thread.join()


def test_a_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with server(CSV.encode(), cut=200) as url:
        task = small({"provider": "url", "files": {"data.csv": url}})
        with pytest.raises(SourceError, match="cut short at 200 of"):
            prepare(task, tmp_path)
        assert nothing_made(tmp_path)
        assert prepare(task, tmp_path).public.is_dir()
    assert (tmp_path / "small" / "raw" / "data.csv").read_bytes() == CSV.encode()


@pytest.mark.parametrize(("status", "words"), [(403, "access refused"), (404, "answered 404")])
def test_a_server_that_refuses(tmp_path: Path, status: int, words: str) -> None:
    with server(b"", status=status) as url:
        task = small({"provider": "url", "files": {"data.csv": url}})
        with pytest.raises(SourceError, match=words):
            prepare(task, tmp_path)
    assert nothing_made(tmp_path)


def test_a_server_that_is_down(tmp_path: Path) -> None:
    task = small({"provider": "url", "files": {"data.csv": "http://127.0.0.1:9/data.csv"}})
    with pytest.raises(SourceError, match="cannot fetch"):
        prepare(task, tmp_path)


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    task = small({"provider": "url", "files": {"data.csv": "file:///etc/passwd"}})
    with pytest.raises(SourceError, match="only http and https"):
        prepare(task, tmp_path)


def command(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from agentbench_tasks.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A real file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
        check=False, capture_output=True,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_sentence(small_disk: Path) -> None:
    with pytest.raises(PreparationError, match="no space left"):
        prepare(load_task("digits"), small_disk)
    assert list((small_disk / "digits").iterdir()) == []


def test_a_disk_full_while_fetching_is_one_sentence(small_disk: Path) -> None:
    with server(b"0" * 10**6) as url:
        task = small({"provider": "url", "files": {"data.csv": url}})
        with pytest.raises(PreparationError, match="no space left"):
            prepare(task, small_disk)
    assert nothing_made(small_disk)


def cut_archive(folder: Path) -> None:
    archive = zip_of(folder / "more.zip", "notes.txt")
    archive.write_bytes(archive.read_bytes()[:40])


def climbing_archive(folder: Path) -> None:
    zip_of(folder / "more.zip", "../notes.txt")


def change(folder: Path) -> None:
    (folder / "data.csv").write_text(CSV + "99,1,1\n", "utf-8")


UNZIP = {"unpack": [{"glob": "*.zip"}]}


@pytest.mark.parametrize(
    ("spoil", "recipe", "code", "words"),
    [
        (cut_archive, UNZIP, 1, "more.zip is damaged or cut short: fetch it again"),
        (climbing_archive, UNZIP, 1, "holds '../notes.txt', which would leave"),
        (change, {}, 1, "data.csv is not the file that this task was made for"),
        (None, {"transforms": [{"op": "magic"}]}, 2, "field recipe.transforms.0"),
        (None, {"targets": ["z"], "sample": {"z": 0}}, 1, "y"),
    ],
    ids=["truncated zip", "zip slip", "changed raw file", "unknown transform", "no such column"],
)
def test_the_command_ends_with_one_sentence_and_a_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None] | None,
    recipe: dict[str, Any],
    code: int,
    words: str,
) -> None:
    folder, root = raw_folder(tmp_path), tmp_path / "root"
    digest = hash_file(folder / "data.csv")
    source: dict[str, object] = {"provider": "local", "path": str(folder)}
    source["sha256"] = {"data.csv": digest}
    record = small(source).model_dump(mode="json")
    record["recipe"] |= recipe
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(record), "utf-8")
    if spoil is not None:
        spoil(folder)
    arguments = ["prepare", str(tmp_path / "small.yaml"), "--root", str(root)]
    monkeypatch.setattr(sys, "argv", ["agentbench-tasks", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    out, err = capsys.readouterr()
    assert (done.value.code, out) == (code, "")
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1
    assert nothing_made(root)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "titanik"], 1, "did you mean titanic"),
        (["list", "--modality", "smell"], 2, "no modality"),
        (["list", "--max-size", "big"], 2, "no size"),
        (["prepare"], 2, "at least one task"),
        (["grade", "diabetes", "nothing.csv"], 2, "nothing.csv"),
    ],
    ids=["unknown task", "modality", "size", "no task", "no file"],
)
def test_the_command_explains_bad_arguments(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = command(*arguments, home=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
