"""The commands report, compare and power, as a user runs them."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from agentbench_scoring.cli_report import app

RUNNER = CliRunner()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        {
            "run_id": f"{agent}-{task}-{seed}",
            "task": f"task-{task}",
            "agent": agent,
            "seed": seed,
            "status": "scored",
            "human_rank": 0.1 * shift + 0.02 * task + 0.01 * seed * shift,
        }
        for shift, agent in enumerate(["low", "middle", "high\x1b[31m"], 1)
        for task in range(12)
        for seed in range(2)
    ]
    file = tmp_path / "results.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return file


def test_report_prints_markdown_or_json(table: Path) -> None:
    printed = RUNNER.invoke(app, ["report", str(table), "--title", "A *title*"])
    assert printed.exit_code == 0
    assert printed.stdout.startswith("# A \\*title\\*\n")
    assert "\x1b" not in printed.stdout
    as_json = RUNNER.invoke(app, ["report", str(table.parent), "--json"])
    found = json.loads(as_json.stdout)
    assert found["schema_version"] == 1
    assert [s["agent"] for s in found["aggregates"]["agents"]] == ["high\x1b[31m", "middle", "low"]


def test_report_writes_all_formats(table: Path, tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["report", str(table), "--out", str(tmp_path / "o"), "--json"])
    assert done.exit_code == 0
    paths = json.loads(done.stdout)
    assert set(paths) == {"md", "json", "parquet", "html"}
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == sorted(
        f"report.{name}" for name in paths
    )
    frame = pl.read_parquet(paths["parquet"])
    assert set(frame["schema_version"]) == {1}
    assert frame.filter(pl.col("measure") == "human_rank").height == 3
    one = RUNNER.invoke(app, ["report", str(table), "--out", str(tmp_path / "p"), "--format", "md"])
    assert [p.name for p in (tmp_path / "p").iterdir()] == ["report.md"]
    assert one.stdout.strip() == str(tmp_path / "p" / "report.md")


def test_compare_two_and_all(table: Path) -> None:
    two = RUNNER.invoke(app, ["compare", str(table), "low", "middle", "--json"])
    (found,) = json.loads(two.stdout)
    assert found["difference"]["value"] == pytest.approx(-0.105)
    everything = RUNNER.invoke(app, ["compare", str(table)])
    assert everything.exit_code == 0
    assert everything.stdout.count("won 0, tied 0, lost 12 of 12 tasks") == 1
    assert "\x1b" not in everything.stdout


def test_power_of_a_design_and_of_a_pilot(table: Path) -> None:
    design = ["power", "--tasks", "75", "--seeds", "3", "--task-sd", "0.14", "--seed-sd", "0.12"]
    found = json.loads(RUNNER.invoke(app, [*design, "--effect", "0.04", "--json"]).stdout)
    assert 0.04 < found["minimum_detectable_effect"] < 0.07
    assert 0.4 < found["power"] < 0.65
    assert found["tasks_needed"] > 75
    pilot = RUNNER.invoke(
        app, ["power", "--tasks", "20", "--pilot", str(table), "--agents", "low", "middle"]
    )
    assert pilot.exit_code == 0
    assert "minimum_detectable_effect" in pilot.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["report", "none"], 2, "does not exist", id="no table"),
        pytest.param(["report", "T", "--level", "95"], 2, "level must lie", id="level"),
        pytest.param(["compare", "T", "low"], 2, "name two agents", id="one agent"),
        pytest.param(["compare", "T", "low", "x\x1b"], 2, "is not in the table", id="unknown"),
        pytest.param(["power", "--tasks", "9"], 2, "give either", id="no variation given"),
        pytest.param(
            ["power", "--tasks", "1", "--task-sd", "1", "--seed-sd", "1"],
            3,
            "two tasks",
            id="undefined",
        ),
    ],
)
def test_errors_are_one_sentence_and_an_exit_code(
    table: Path, arguments: list[str], code: int, message: str
) -> None:
    done = RUNNER.invoke(app, [str(table) if a == "T" else a for a in arguments])
    assert done.exit_code == code
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_folder_that_cannot_be_written_is_an_error(table: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    done = RUNNER.invoke(app, ["report", str(table), "--out", str(tmp_path / "file")])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
