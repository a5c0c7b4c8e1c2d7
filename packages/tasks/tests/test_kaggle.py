"""Kaggle's own client against a local server that answers as Kaggle does."""

import io
import json
import math
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agentbench_tasks import load_task
from agentbench_tasks.grading import leaderboard
from agentbench_tasks.synthesise import synthesise
from agentbench_tasks.task import BoardSummary

PORT = 7777  # where the client looks in its test environment
KNOWN = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "0"}


@contextmanager
def kaggle(files: bytes | int, board: bytes | int) -> Generator[list[str]]:
    """Answer with these bytes, or refuse with this status; the second asks for the leaderboard."""
    calls: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            calls.append(self.path.rpartition("/")[2])
            answer = board if "Leaderboard" in self.path else files
            self.send_response(answer if isinstance(answer, int) else 200)
            body = b"{}" if isinstance(answer, int) else answer
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    class Local(ThreadingHTTPServer):
        allow_reuse_address = True

    with Local(("127.0.0.1", PORT), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield calls
        finally:
            listening.shutdown()
            thread.join()


def command(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from agentbench_tasks.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "KAGGLE_API_ENVIRONMENT": "TEST",
            **environment,
        },
    )


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("raw")
    synthesise(load_task("titanic"), folder, rows=200)
    return archive(**{"train.csv": (folder / "train.csv").read_bytes()})


def whole(board: BoardSummary, n: int = 1000) -> list[float]:
    """Scores of n teams that have these quantiles."""
    ranks = {0.0: board.best, 0.01: board.p1, 0.05: board.p5, 0.1: board.p10, 0.25: board.p25}
    ranks |= {0.5: board.p50, 0.75: board.p75, 0.9: board.p90, 1.0: board.worst}
    scores: list[float] = []
    for share, score in ranks.items():
        scores += [score] * (max(math.ceil(share * n), 1) - len(scores))
    return scores


def board_of_titanic() -> bytes:
    board = load_task("titanic").board
    assert board is not None
    rows = [f"{i + 1},{i},team {i},2020-01-01,{s}" for i, s in enumerate(whole(board.private))]
    text = "Rank,TeamId,TeamName,LastSubmissionDate,Score\n" + "\n".join(rows)
    return archive(**{"titanic-leaderboard.csv": text.encode()})


@pytest.mark.parametrize("board", ["given", "refused", "nonsense"])
def test_a_competition_is_fetched_with_its_board_where_that_is_given(
    raw: bytes, board: str, tmp_path: Path
) -> None:
    sent: dict[str, bytes | int] = {
        "given": board_of_titanic(), "refused": 403, "nonsense": b"<html>"
    }  # fmt: skip
    root = tmp_path / "root"
    with kaggle(raw, sent[board]) as calls:
        done = command("prepare", "titanic", "--root", str(root), home=tmp_path, **KNOWN)
        assert done.returncode == 0, done.stderr
        asked = len(calls)
        again = command("prepare", "titanic", "--root", str(root), home=tmp_path, **KNOWN)
    # in its test environment the client prints what it asks
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert len(calls) == asked, "a second call asks nobody"
    home = root / "titanic"
    assert (home / "leaderboard.csv").is_file() == (board == "given")
    assert not [path for path in home.rglob("*") if path.name.startswith(".")]
    sample = home / "v1" / "public" / "sample_submission.csv"
    graded = command("grade", "titanic", str(sample), "--root", str(root), "--json", home=tmp_path)
    found = json.loads(graded.stdout)
    assert (found["position"] <= 1001) == (board == "given"), "the fetched board has 1000 teams"
    assert 0 <= found["human_rank"] <= 1


def test_a_board_that_is_not_the_private_one_is_not_used() -> None:
    task = load_task("rossmann-store-sales")
    assert task.board is not None
    assert task.board.public is not None
    for board, is_used in ((task.board.private, True), (task.board.public, False)):
        found = leaderboard(task, whole(board))
        assert found is not None
        assert (found.position(0.11).n == 1000) == is_used


def test_variants_share_what_was_fetched(tmp_path: Path) -> None:
    task = load_task("home-data-for-ml-course")
    folder = tmp_path / "raw"
    folder.mkdir()
    synthesise(task, folder, rows=200)
    bundle = archive(**{path.name: path.read_bytes() for path in folder.iterdir()})
    names = [task.name, f"{task.name}.mle-dojo"]
    with kaggle(bundle, 403) as calls:
        done = command("prepare", *names, "--root", str(tmp_path / "root"), home=tmp_path, **KNOWN)
    assert done.returncode == 0, done.stderr
    assert [call for call in calls if "Leaderboard" not in call] == ["DownloadDataFiles"]


def test_a_raw_file_that_changed_since_it_was_fetched_is_refused(
    raw: bytes, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    with kaggle(raw, 403):
        done = command("prepare", "titanic", "--root", str(root), home=tmp_path, **KNOWN)
        assert done.returncode == 0, done.stderr
        home = root / "titanic"
        (home / "v1").rename(tmp_path / "elsewhere")
        table = home / "raw" / "train.csv"
        table.write_text(table.read_text("utf-8").replace(",1,", ",0,", 1), "utf-8")
        done = command("prepare", "titanic", "--root", str(root), home=tmp_path, **KNOWN)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {table} has changed")
    assert not (home / "v1").exists()


@pytest.mark.parametrize(
    ("status", "known", "words"),
    [
        (401, {}, "create an API token"),
        (403, KNOWN, "accept its rules at https://www.kaggle.com/competitions/titanic/rules"),
        (404, KNOWN, "Kaggle answered 404 for titanic"),
    ],
    ids=["no credentials", "rules not accepted", "no such competition"],
)
def test_a_refusal_says_what_to_do(
    tmp_path: Path, status: int, known: dict[str, str], words: str
) -> None:
    with kaggle(status, status):
        done = command(
            "prepare", "titanic", "--root", str(tmp_path / "root"), home=tmp_path, **known
        )
    assert done.returncode == 1, done.stderr
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == []


def test_a_competition_cut_short_leaves_nothing(raw: bytes, tmp_path: Path) -> None:
    with kaggle(raw[: len(raw) // 2], 403):
        done = command(
            "prepare", "titanic", "--root", str(tmp_path / "root"), home=tmp_path, **KNOWN
        )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "root" / "titanic" / "raw").exists()
    assert not (tmp_path / "root" / "titanic" / "v1").exists()
