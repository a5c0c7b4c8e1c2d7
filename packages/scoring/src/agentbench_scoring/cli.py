"""The command `agentbench-score`: exit code 0 done, 1 error, 2 invalid submission, 3 undefined."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import polars as pl
import typer
from pydantic import ValidationError

from agentbench_scoring.cli_report import app as report_app
from agentbench_scoring.cli_report import errors_as_exit_codes
from agentbench_scoring.errors import InvalidInputError, InvalidSubmissionError
from agentbench_scoring.integrity import Evidence
from agentbench_scoring.issue import Issue
from agentbench_scoring.leaderboard import Leaderboard, diagnose_scores
from agentbench_scoring.markdown import plain
from agentbench_scoring.metrics import list_metrics
from agentbench_scoring.metrics.spec import Layout, MetricSpec
from agentbench_scoring.reading import Limits, read_table
from agentbench_scoring.score import score_submission, validate
from agentbench_scoring.specification import SubmissionSpec, TargetSpec

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(report_app)

_Submission = Annotated[Path, typer.Argument(help="The CSV file to check (also gzipped).")]
_Answers = Annotated[Path, typer.Argument(help="The CSV file with the truth.")]
_Spec = Annotated[
    Path | None,
    typer.Option("--spec", help="A JSON file with the whole spec, in place of the rest."),
]
_Ids = Annotated[list[str] | None, typer.Option("--id", help="Id column; repeatable; default: id.")]
_Targets = Annotated[
    list[str] | None,
    typer.Option("--target", help="Predicted column, or column:dtype (float, int, str, bool)."),
]
_Metric = Annotated[str | None, typer.Option("--metric", help="Name of the metric.")]
_Params = Annotated[
    list[str] | None, typer.Option("--param", help="name=value; repeatable; value in JSON.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("score")
def score_command(
    submission: _Submission,
    answers: _Answers,
    *,
    metric: _Metric = None,
    ids: _Ids = None,
    targets: _Targets = None,
    params: _Params = None,
    spec: _Spec = None,
    part_column: Annotated[
        str | None, typer.Option(help="Column of the answers that parts the rows.")
    ] = None,
    part: Annotated[str | None, typer.Option(help="Part to score.")] = None,
    board: Annotated[
        Path | None, typer.Option(help="A CSV file with the column score, one row a human team.")
    ] = None,
    sample: Annotated[Path | None, typer.Option(help="The sample submission.")] = None,
    others: Annotated[
        list[Path] | None, typer.Option("--other", help="Another's submission; repeatable.")
    ] = None,
    code: Annotated[Path | None, typer.Option(help="Code that made the submission.")] = None,
    other_code: Annotated[
        list[Path] | None, typer.Option(help="Another's code; repeatable.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Check a submission and score it; what it is held against may add findings."""
    with errors_as_exit_codes():
        asked = _read_spec(spec, metric, ids, targets, params, part_column)
        teams = None
        if board is not None:
            higher = asked.scored_by.spec.higher_is_better
            teams = Leaderboard(_board_scores(board, "score"), higher_is_better=higher)
        evidence = Evidence(
            board=teams,
            sample=sample,
            others={str(path): path for path in others or ()},
            code=code,
            other_code={str(path): path for path in other_code or ()},
        )
        try:
            score = score_submission(asked, submission, answers, part=part, evidence=evidence)
        except InvalidSubmissionError as error:
            _print_issues(error.issues, as_json=as_json)
            sys.exit(2)
        if as_json:
            typer.echo(score.model_dump_json())
            return
        arrow = "higher" if score.higher_is_better else "lower"
        typer.echo(f"{score.metric} {score.value:.10g} ({arrow} is better, {score.n_rows} rows)")
        for note in (*score.issues, *score.findings):
            typer.echo(f"  note: {plain(note.message, limit=300)}")


@app.command("validate")
def validate_command(
    submission: _Submission,
    answers: Annotated[
        Path | None, typer.Argument(help="The truth, or a sample submission with all ids.")
    ] = None,
    *,
    metric: _Metric = None,
    ids: _Ids = None,
    targets: _Targets = None,
    params: _Params = None,
    spec: _Spec = None,
    as_json: _Json = False,
) -> None:
    """Say everything that is wrong with a submission."""
    with errors_as_exit_codes():
        asked = _read_spec(spec, metric, ids, targets, params, None)
        issues = validate(asked, submission, answers)
        _print_issues(issues, as_json=as_json)
        if any(issue.severity == "error" for issue in issues):
            sys.exit(2)


@app.command("metrics")
def metrics_command(*, as_json: _Json = False) -> None:
    """List every metric with its direction and bounds."""
    with errors_as_exit_codes():
        specs = list_metrics()
        if as_json:
            typer.echo(json.dumps([_metric_record(spec) for spec in specs], indent=1))
            return
        width = max(len(spec.name) for spec in specs)
        for spec in specs:
            arrow = "up  " if spec.higher_is_better else "down"
            low, high = ("" if end is None else f"{end:g}" for end in spec.bounds)
            typer.echo(f"{spec.name:<{width}}  {arrow}  {low + '..' + high:<12}  {spec.summary}")


@app.command("leaderboard")
def leaderboard_command(
    board: Annotated[Path, typer.Argument(help="A CSV file with one score a team.")],
    *,
    column: Annotated[str, typer.Option(help="Column of the scores.")] = "score",
    higher_is_better: Annotated[
        bool | None, typer.Option("--higher-is-better/--lower-is-better", help="Direction.")
    ] = None,
    score: Annotated[float | None, typer.Option(help="A score to place on the board.")] = None,
    n_teams: Annotated[int | None, typer.Option(help="Teams, if the board is cut off.")] = None,
    as_json: _Json = False,
) -> None:
    """Diagnose a human leaderboard and place a score on it."""
    with errors_as_exit_codes():
        if higher_is_better is None:
            raise InvalidInputError("say --higher-is-better or --lower-is-better")
        scores = _board_scores(board, column)
        issues = diagnose_scores(scores, higher_is_better=higher_is_better, n_teams=n_teams)
        found: dict[str, Any] = {"issues": [dataclasses.asdict(issue) for issue in issues]}
        if score is not None:
            teams = Leaderboard(scores, higher_is_better=higher_is_better, n_teams=n_teams)
            medal = teams.medal(score)
            found |= dataclasses.asdict(teams.position(score))
            found["medal"] = None if medal is None else str(medal)
        if as_json:
            typer.echo(json.dumps(found))
            return
        for name, value in found.items():
            if name != "issues":
                typer.echo(f"{name:<18} {value}")
        for issue in issues:
            typer.echo(f"issue: {issue.message}")


def _board_scores(path: Path, column: str) -> list[float]:
    table, _ = read_table(path, limits=Limits())
    if column not in table.columns:
        raise InvalidInputError(f"{path} has no column {column!r}, only {table.columns}")
    scores = table[column].cast(pl.Float64, strict=False)
    if scores.has_nulls():
        raise InvalidInputError(f"{path}: {scores.null_count()} scores are not numbers")
    return scores.to_list()


def _read_spec(  # noqa: PLR0917 (the options of two commands, in their order)
    path: Path | None,
    metric: str | None,
    ids: list[str] | None,
    targets: list[str] | None,
    params: list[str] | None,
    part_column: str | None,
) -> SubmissionSpec:
    try:
        if path is not None:
            if metric or ids or targets or params:
                raise InvalidInputError("--spec stands alone: leave --metric, --id, ... out")
            return SubmissionSpec.model_validate_json(path.read_bytes())
        if not targets:
            raise InvalidInputError("name the predicted columns with --target, or give --spec")
        return SubmissionSpec(
            id_columns=tuple(ids or ["id"]),
            targets=tuple(_target(text) for text in targets),
            metric=metric,
            params=dict(_param(text) for text in params or []),
            part_column=part_column,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(place) for place in first["loc"])
        raise InvalidInputError(
            f"the spec is wrong at {where or 'the top'}: {first['msg']}"
        ) from error


def _target(text: str) -> TargetSpec:
    name, _, dtype = text.rpartition(":")
    if name and dtype in ("float", "int", "str", "bool"):
        return TargetSpec(name=name, dtype=dtype)
    return TargetSpec(name=text)


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInputError(f"--param takes name=value, not {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _print_issues(issues: Sequence[Issue], *, as_json: bool) -> None:
    if as_json:
        valid = all(issue.severity != "error" for issue in issues)
        records = [issue.model_dump(mode="json") for issue in issues]
        typer.echo(json.dumps({"valid": valid, "issues": records}))
        return
    for issue in issues:
        shown = f" ({', '.join(issue.ids)})" if issue.ids else ""
        typer.echo(f"{issue.severity}: {plain(issue.message + shown, limit=500)}")
    if not issues:
        typer.echo("valid")


def _metric_record(spec: MetricSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "higher_is_better": spec.higher_is_better,
        "bounds": list(spec.bounds),
        "best": spec.best,
        "worst": spec.worst,
        "truth": _layout_record(spec.truth),
        "prediction": _layout_record(spec.prediction),
        "min_classes": spec.min_classes,
        "parameters": [dataclasses.asdict(parameter) for parameter in spec.parameters],
        "summary": spec.summary,
    }


def _layout_record(layout: Layout) -> str | dict[str, str]:
    if isinstance(layout, str):
        return layout
    return dict(cast("Mapping[str, str]", layout))


def main() -> None:
    """Run the command line."""
    app()
