"""Reading a results table: what is accepted, what is refused and how."""

import json
from pathlib import Path

import pytest

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.results import read_results

ROW: dict[str, object] = {
    "run_id": "r1",
    "task": "digits",
    "agent": "mle",
    "model": "m",
    "status": "scored",
    "score": 0.9,
}


def write(folder: Path, *lines: str) -> Path:
    file = folder / "results.jsonl"
    file.write_text("".join(lines), "utf-8")
    return file


def test_a_design_row_is_accepted_from_a_file_a_folder_and_rows(tmp_path: Path) -> None:
    row = ROW | {
        "task_version": "sha256:1",
        "seed": 3,
        "human_rank": 0.5,
        "medal": "Bronze",
        "margin": None,
        "steps": 7,
        "wall_s": 1.5,
        "tokens": 10,
        "cost_usd": None,
        "feedback": "public",
        "versions": {"agentbench-scoring": "0.1.0"},
        "something_else": [1, 2],
    }
    file = write(tmp_path, json.dumps(row), "\n\n")
    tables = [read_results(source) for source in (file, str(file), tmp_path, [row])]
    assert all(table == tables[0] for table in tables)
    (run,) = tables[0].runs
    assert (run.medal, run.entrant, run.cluster, run.feedback) == (
        "bronze",
        "mle · m",
        "digits",
        "public",
    )


def test_a_line_being_written_is_skipped_and_counted(tmp_path: Path) -> None:
    table = read_results(write(tmp_path, json.dumps(ROW), "\n", '{"run_id": "r2", "ta'))
    assert (len(table.runs), table.torn_lines) == (1, 1)


def test_a_torn_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="line 1 is not JSON"):
        read_results(write(tmp_path, '{"run_id": \n', json.dumps(ROW), "\n"))


def test_repeated_rows_collapse_and_conflicts_do_not() -> None:
    assert len(read_results([ROW, dict(ROW)]).runs) == 1
    with pytest.raises(InvalidInputError, match="run_id 'r1'"):
        read_results([ROW, ROW | {"score": 0.8}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"score": float("nan")}, "score", id="nan"),
        pytest.param({"human_rank": float("inf")}, "human_rank", id="infinity"),
        pytest.param({"human_rank": 1.5}, "human_rank", id="rank above 1"),
        pytest.param({"status": "done"}, "status", id="unknown status"),
        pytest.param({"medal": "platinum"}, "medal", id="unknown medal"),
        pytest.param({"status": "failed"}, "has no score", id="a failed run with a score"),
        pytest.param({"score": None}, "needs a score", id="scored without a score"),
        pytest.param({"steps": -1}, "steps", id="negative steps"),
        pytest.param({"agent": "x" * 301}, "agent", id="a name without end"),
        pytest.param({"agent": ""}, "agent", id="no name"),
        pytest.param({"run_id": None}, "run_id", id="no id"),
    ],
)
def test_bad_rows_are_refused_by_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"row 1: .*{message}"):
        read_results([ROW | change])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("[1, 2]\n", id="not an object"),
        pytest.param("7\n", id="a number"),
        pytest.param('{"score": NaN}\n', id="nan literal"),
        pytest.param("[" * 100_000 + "\n", id="deep nesting"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidInputError, match="line 1"):
        read_results(write(tmp_path, line, json.dumps(ROW), "\n"))


def test_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no run"):
        read_results([])
    with pytest.raises(InvalidInputError, match="does not exist"):
        read_results(tmp_path / "none")


def test_a_task_has_one_family_and_one_direction() -> None:
    other = ROW | {"run_id": "r2"}
    with pytest.raises(InvalidInputError, match="two families"):
        read_results([ROW | {"family": "a"}, other | {"family": "b"}])
    with pytest.raises(InvalidInputError, match="both directions"):
        read_results([ROW | {"higher_is_better": True}, other | {"higher_is_better": False}])
