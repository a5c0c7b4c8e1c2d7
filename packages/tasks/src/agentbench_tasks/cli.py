"""agentbench-tasks: list, show, prepare, lint, grade and scaffold tasks."""

import dataclasses
import json
import re
import sys
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from agentbench_scoring import InvalidSubmissionError, ScoringError, UndefinedMetricError
from agentbench_tasks.catalogue import list_tasks, load_task
from agentbench_tasks.description import describe
from agentbench_tasks.errors import TaskFileError, TasksError
from agentbench_tasks.finding import MEANING
from agentbench_tasks.research import (
    ResearchAnchor,
    ResearchTask,
    load_research,
    research_names,
)
from agentbench_tasks.task import Modality, Task
from agentbench_tasks.task_file import task_schema

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, rich_markup_mode=None)

Root = Annotated[Path | None, typer.Option(help="Folder of prepared tasks.")]
Raw = Annotated[Path | None, typer.Option(help="Folder with the raw files, already fetched.")]
Rows = Annotated[int | None, typer.Option(help="Use a synthetic stand-in of that many rows.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Names = Annotated[list[str] | None, typer.Argument(help="Tasks; names or YAML files.")]
Part = Literal["public", "private", "all"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?b?)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise typer.BadParameter(f"{text!r} is no size; write 10MB or 1.5GB")
    return int(float(match[1]) * _UNITS[match[2]])


def _size(task: Task) -> str:
    size = task.provenance.size_bytes
    if size is None:
        return "?"
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"


@app.command("list")
def list_command(
    *,
    name: Annotated[str | None, typer.Option(help="Pattern, such as 'playground-*'.")] = None,
    modality: Annotated[str | None, typer.Option(help="Kind of data.")] = None,
    task_type: Annotated[str | None, typer.Option(help="Kind of prediction.")] = None,
    suite: Annotated[
        str | None, typer.Option(help="mle-dojo/eval, mle-bench/low, quick...")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="A tag.")] = None,
    family: Annotated[str | None, typer.Option(help="A family of related tasks.")] = None,
    max_size: Annotated[str | None, typer.Option(help="Largest raw data: 10MB, 1GB.")] = None,
    as_json: Json = False,
) -> None:
    """List the tasks that fit all the filters."""
    if modality is not None and modality not in get_args(Modality):
        allowed = ", ".join(get_args(Modality))
        raise typer.BadParameter(f"{modality!r} is no modality; there are: {allowed}")
    tasks: list[Task | ResearchTask] = list(
        list_tasks(
            name=name,
            modality=modality,  # pyright: ignore[reportArgumentType] # checked above
            task_type=task_type,
            suite=suite,
            tag=tag,
            family=family,
            max_bytes=_bytes(max_size),
        )
    )
    if task_type is None and max_size is None:
        tasks += [
            task
            for task in map(load_research, research_names())
            if (name is None or fnmatchcase(task.name, name))
            and (modality is None or task.modality == modality)
            and (suite is None or suite in task.suites)
            and (tag is None or tag in task.tags)
            and (family is None or task.family == family)
        ]
    if as_json:
        keys = {"name", "version", "title", "modality", "task_type", "difficulty", "family"}
        rows = [
            {
                **task.model_dump(mode="json", include=keys),
                "suites": task.suites,
                "metric": task.metric.name,
                "higher_is_better": task.higher_is_better,
                **_more(task),
            }
            for task in tasks
        ]
        typer.echo(json.dumps(rows, indent=1))
        return
    columns = ("task", "modality", "type", "metric", "size", "difficulty")
    _print_table(
        columns,
        (
            (t.name, t.modality, "research", t.metric.name, "0" if t.lite else "?", "")
            if isinstance(t, ResearchTask)
            else (t.name, t.modality, t.task_type, t.metric.name, _size(t), t.difficulty or "")
            for t in tasks
        ),
    )
    typer.echo(f"{len(tasks)} tasks")


def _more(task: Task | ResearchTask) -> dict[str, Any]:
    if isinstance(task, ResearchTask):
        return {"task_type": "research", "size_bytes": None, "variants": []}
    return {
        "size_bytes": task.provenance.size_bytes,
        "variants": [f"{task.name}.{variant}" for variant in task.variants],
    }


def _load(name: str) -> Task | ResearchTask:
    return load_research(name) if name in research_names() else load_task(name)


def _describe_research(task: ResearchTask) -> str:
    limits = task.resources
    gpu = f", {limits.memory_mib} MiB"
    gpu += f", {limits.gpus} GPU with {limits.gpu_memory_mib} MiB" if limits.gpus else ""
    lines = [
        f"# {task.title}",
        task.problem,
        f"data: {task.provenance.data}",
        f"licence: {task.provenance.licence}",
        f"competition: {task.provenance.competition}, {task.provenance.url}",
        f"limits: {limits.dev_s:g} s dev, {limits.test_s:g} s test, {limits.cpus:g} cores{gpu}",
        f"budget: {task.budget.steps} steps, {task.budget.wall_s:g} s, {task.budget.cost_usd:g} $",
    ]
    for name in ("baseline", "reference", "ceiling"):
        anchor: ResearchAnchor | None = getattr(task.anchors, name)
        if anchor is not None:
            se = "" if anchor.test.se is None else f" ± {1.96 * anchor.test.se:.2g}"
            lines.append(
                f"{name}: {anchor.test.value:g}{se} on test ({anchor.source}, {anchor.date})"
            )
    return "\n".join(lines)


@app.command()
def show(task: str, *, as_json: Json = False) -> None:
    """Show one task: what an agent reads, its references and its known issues."""
    loaded = _load(task)
    if as_json:
        typer.echo(loaded.model_dump_json(indent=1))
        return
    if isinstance(loaded, ResearchTask):
        typer.echo(_describe_research(loaded))
        for issue in loaded.known_issues:
            typer.echo(f"issue: {issue}")
        return
    typer.echo(describe(loaded))
    for name, anchor in loaded.anchors:
        if anchor is not None:
            typer.echo(f"{name}: {anchor.value:g} ({anchor.source}, {anchor.date})")
    for issue in loaded.known_issues:
        typer.echo(f"issue: {issue}")


@app.command("prepare")
def prepare_command(
    tasks: Names = None,
    *,
    root: Root = None,
    raw: Raw = None,
    synthetic: Rows = None,
    seed: Annotated[int, typer.Option(help="Seed of the stand-in.")] = 0,
    as_json: Json = False,
) -> None:
    """Fetch, check, split and write tasks; a task that is there is verified."""
    from agentbench_tasks.preparation import prepare
    from agentbench_tasks.research_data import prepare_research

    for name in _some(tasks):
        task = _load(name)
        if isinstance(task, ResearchTask):
            done = prepare_research(task, root, raw=raw)
        else:
            done = prepare(task, root, raw=raw, synthetic=synthetic, seed=seed)
        row = {"task": name, "path": str(done.path), "digest": done.digest}
        typer.echo(json.dumps(row) if as_json else f"{name}: {done.path} ({done.digest[:12]})")


@app.command("lint")
def lint_command(
    tasks: Names = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every task.")] = False,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Look at stand-ins.")] = False,
    rows: Annotated[int, typer.Option(help="Rows of the stand-ins.")] = 200,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Look for leaks, wrong metrics and bad boards. Exit code 2 when there is an error."""
    names = [t.name for t in list_tasks()] if everything else _some(tasks)
    loaded = [load_task(name) for name in names]
    quiet = as_json or not sys.stderr.isatty()
    progress = track(loaded, "lint", console=Console(stderr=True), disable=quiet)
    reports = [_lint_one(task, synthetic=synthetic, rows=rows, root=root) for task in progress]
    if as_json:
        typer.echo(json.dumps(reports, indent=1))
    else:
        _print_lint(reports)
    if any(finding["severity"] == "error" for row in reports for finding in row["findings"]):
        raise typer.Exit(2)


def _lint_one(task: Task, *, synthetic: bool, rows: int, root: Path | None) -> dict[str, Any]:
    from agentbench_tasks.lint import lint, lint_stand_in
    from agentbench_tasks.preparation import prepare

    start = time.perf_counter()
    if synthetic:
        report = dataclasses.asdict(lint_stand_in(task, rows=rows))
        findings = report.pop("findings")
    else:
        findings, report = lint(prepare(task, root)), {"task": task.name, "graded": True}
    seconds = round(time.perf_counter() - start, 2)
    return {**report, "seconds": seconds, "findings": [f.model_dump() for f in findings]}


def _print_lint(reports: list[dict[str, Any]]) -> None:
    def number(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else "-"

    rows = (
        (
            row["task"],
            number(row.get("perfect")),
            number(row.get("sample")),
            number(row.get("learner")),
            {True: "yes", False: "no", None: "-"}[row.get("learned")],
            f"{row['seconds']:.1f}",
            "; ".join(sorted({f["code"] for f in row["findings"]})) or "clean",
        )
        for row in reports
    )
    _print_table(("task", "answers", "sample", "learner", "learnt", "s", "findings"), rows)
    for row in reports:
        for finding in row["findings"]:
            meaning = MEANING[finding["code"]]
            typer.echo(f"{row['task']}: {finding['severity']}: {meaning}: {finding['evidence']}")
    clean = sum(not row["findings"] for row in reports)
    tried = [row["learned"] for row in reports if row.get("learned") is not None]
    learnt = f"; a simple learner beats the sample on {sum(tried)} of {len(tried)}" if tried else ""
    ungraded = sum(not row["graded"] for row in reports)
    missing = f"; {ungraded} not graded: their metric is not installed" if ungraded else ""
    seconds = sum(row["seconds"] for row in reports)
    typer.echo(f"{clean} of {len(reports)} tasks clean in {seconds:.0f} s{missing}{learnt}")


@app.command("grade")
def grade_command(
    task: str,
    submission: Path,
    *,
    part: Annotated[Part, typer.Option(help="Which answers.")] = "private",
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Grade a submission file. Exit code 2 when it is invalid, 3 when undefined."""
    from agentbench_tasks.grading import grade
    from agentbench_tasks.preparation import prepare

    result = grade(prepare(load_task(task), root), submission, part=part)
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
        return
    for name, value in result:
        if value is not None:
            typer.echo(f"{name}: {value}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of task files."""
    typer.echo(json.dumps(task_schema(), indent=1))


@app.command()
def new(
    csv: Annotated[Path, typer.Argument(help="A table with one row per example.")],
    folder: Annotated[Path, typer.Argument(help="Package folder to make or extend.")],
    *,
    name: Annotated[str | None, typer.Option(help="Name of the task.")] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column of ids.")] = None,
    metric: Annotated[str | None, typer.Option(help="Metric.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take the guesses without asking.")] = False,
) -> None:
    """Make a task from a CSV file: guess id, target and metric, ask, write, lint."""
    from agentbench_tasks.lint import lint
    from agentbench_tasks.new import guess, write_task
    from agentbench_tasks.preparation import prepare

    found = guess(csv, name=name, target=target, id_column=id_column, metric=metric)
    typer.echo(f"id {found.id_column or 'row number'}, target {found.target}, {found.metric}")
    if not yes and not typer.confirm("Is that right?", default=True):
        raise typer.BadParameter("say it with --target, --id and --metric")
    path = write_task(found, csv, folder)
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        findings = lint(prepare(load_task(path), scratch))
    for finding in findings:
        typer.echo(str(finding))
    typer.echo(f"{path}: {'clean' if not findings else f'{len(findings)} findings'}")


def _some(tasks: list[str] | None) -> list[str]:
    if not tasks:
        raise typer.BadParameter("name at least one task, or use --all where there is one")
    return tasks


def _print_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _console().print(table)


def main() -> None:
    """Run the command; an error is one sentence on stderr and an exit code."""
    try:
        app()
    except (InvalidSubmissionError, TaskFileError) as error:
        _fail(error, 2)
    except UndefinedMetricError as error:
        _fail(error, 3)
    except (TasksError, ScoringError, OSError) as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    typer.echo(f"error: {error}", err=True)
    raise SystemExit(code)
