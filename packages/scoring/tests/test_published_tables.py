"""The tables of MLRC-Bench and MLGym come out: of the command, and as the docs print them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentbench_scoring import aup_mlgym, mlgym_tau_max
from agentbench_scoring.cli import app

HERE = Path(__file__).parent
DOCS = (HERE.parents[2] / "docs" / "scoring-statistics.md").read_text("utf-8")


def _data(name: str) -> Any:
    return json.loads((HERE / "data" / name).read_text("utf-8"))


def test_the_mlrc_table_comes_out_of_the_command_and_is_in_the_docs(tmp_path: Path) -> None:
    table = _data("mlrc_table.json")
    runs = [
        {
            "run_id": f"{row['agent']}-{task}",
            "task": task,
            "agent": row["agent"],
            "status": "scored",
            "margin": cell["margin"],
        }
        for row in table["rows"]
        for task, cell in zip(table["tasks"], row["cells"], strict=True)
    ]
    results = tmp_path / "results.jsonl"
    results.write_text("".join(json.dumps(run) + "\n" for run in runs))
    done = CliRunner().invoke(app, ["report", str(results), "--json"])
    assert done.exit_code == 0
    found = {
        agent["agent"]: agent["estimates"]["margin"]["value"]
        for agent in json.loads(done.stdout)["aggregates"]["agents"]
    }
    lines: list[str] = []
    for row in table["rows"]:
        cells = [f"{c['margin']:g}{'' if c['verified'] else ' [M]'}" for c in row["cells"]]
        lines.append("| " + " | ".join([row["agent"], *cells, f"{found[row['agent']]:.2f}"]) + " |")
    assert [line.rsplit(" ", 2)[1] for line in lines] == [
        *("9.30", "6.26", "4.20", "-5.19", "5.41", "3.53", "7.11")
    ]
    assert "\n".join(lines) in DOCS, "\n".join(lines)


@pytest.mark.parametrize("split", ["aggregate", "test"])
def test_the_mlgym_table_comes_out_and_is_in_the_docs(split: str) -> None:
    data = _data("mlgym_scores.json")
    kinds = {kind: data[f"{kind}_{split}"] for kind in ("best", "last")}
    tasks = list(kinds["best"])
    higher = [task not in data["minimise"] for task in tasks]
    scores: dict[str, dict[str, list[float | None]]] = {
        kind: {agent: [by_task[task][agent] for task in tasks] for agent in by_task[tasks[0]]}
        for kind, by_task in kinds.items()
    }
    tau_max = mlgym_tau_max(list(scores.values()), higher, baseline="baseline")
    areas = {
        kind: aup_mlgym(by_agent, higher, tau_max, 500, baseline="baseline")
        for kind, by_agent in scores.items()
    }
    published = data[f"aup_{split}"]
    lines = [
        f"| {agent} | {areas['best'][agent]:.3f} | {row['Best AUP']:.3f} "
        f"| {areas['last'][agent]:.3f} | {row['Last AUP']:.3f} |"
        for agent, row in published.items()
    ]
    for line in lines:
        best, said_best, last, said_last = map(float, line.split("|")[2:6])
        assert best == pytest.approx(said_best, abs=0.0011)
        assert last == pytest.approx(said_last, abs=0.0011)
    assert "\n".join(lines) in DOCS, "\n".join(lines)
