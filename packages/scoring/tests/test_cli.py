"""`agentbench-score` as a user meets it: output, exit codes, no traceback."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentbench_scoring import list_metrics
from agentbench_scoring.cli import app

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "answers.csv").write_text("id,p,part\n1,0,public\n2,1,public\n3,1,private\n")
    (tmp_path / "good.csv").write_text("id,p\n3,0.3\n1,0.5\n2,0.9\n")
    (tmp_path / "bad.csv").write_text("id,p\n3,nan\n1,0.5\n1,0.9\n")
    (tmp_path / "board.csv").write_text("team,score\na,0.9\nb,0.8\nc,0.7\nd,0.6\ne,0.5\n")
    return tmp_path


OPTIONS = ["--metric", "roc_auc", "--target", "p"]


def test_score(folder: Path) -> None:
    files = [str(folder / "good.csv"), str(folder / "answers.csv")]
    got = RUN.invoke(app, ["score", *files, *OPTIONS, "--json"])
    assert got.exit_code == 0, got.output
    assert json.loads(got.output)["value"] == 0.5
    got = RUN.invoke(app, ["score", *files, *OPTIONS])
    assert "roc_auc 0.5 (higher is better, 3 rows)" in got.output


def test_an_invalid_submission_exits_2(folder: Path) -> None:
    files = [str(folder / "bad.csv"), str(folder / "answers.csv")]
    for command in ("score", "validate"):
        got = RUN.invoke(app, [command, *files, *OPTIONS, "--json"])
        assert got.exit_code == 2, got.output
        codes = {issue["code"] for issue in json.loads(got.output)["issues"]}
        assert codes == {"nan", "duplicate_id", "missing_id"}


def test_an_undefined_metric_exits_3(folder: Path) -> None:
    files = [str(folder / "good.csv"), str(folder / "answers.csv")]
    part = ["--part-column", "part", "--part", "private"]
    got = RUN.invoke(app, ["score", *files, *OPTIONS, *part])
    assert got.exit_code == 3
    assert "needs both classes" in got.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metric", "auc", "--target", "p"], "no metric 'auc'"),
        (["--metric", "roc_auc"], "--target"),
        (["--metric", "map_at_k", "--target", "p:str"], "needs the parameter 'k'"),
        (["--metric", "roc_auc", "--target", "p", "--param", "k"], "name=value"),
    ],
)
def test_a_wrong_request_is_one_sentence(folder: Path, arguments: list[str], words: str) -> None:
    files = [str(folder / "good.csv"), str(folder / "answers.csv")]
    got = RUN.invoke(app, ["score", *files, *arguments])
    assert got.exit_code == 2
    assert words in got.output
    assert "Traceback" not in got.output


def test_metrics_lists_every_name_with_direction_and_bounds() -> None:
    got = RUN.invoke(app, ["metrics", "--json"])
    listed = {record["name"]: record for record in json.loads(got.output)}
    assert set(listed) == {spec.name for spec in list_metrics()}
    assert listed["rmse"]["higher_is_better"] is False
    assert listed["roc_auc"]["bounds"] == [0, 1]


def test_leaderboard(folder: Path) -> None:
    board = ["leaderboard", str(folder / "board.csv"), "--higher-is-better"]
    got = RUN.invoke(app, [*board, "--score", "0.8", "--json"])
    found = json.loads(got.output)
    assert (found["position"], found["midrank"], found["medal"]) == (2, 0.7, "bronze")
    assert RUN.invoke(app, board[:2]).exit_code == 2


def test_the_commands_of_the_other_half_are_there() -> None:
    shown = RUN.invoke(app, ["--help"]).output
    for name in ("score", "validate", "metrics", "leaderboard", "report", "compare", "power"):
        assert name in shown
