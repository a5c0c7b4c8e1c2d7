"""The commands ``report``, ``compare`` and ``power``; ``agentbench-score`` takes them in."""

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agentbench_scoring.comparison import Comparison, compare, compare_all
from agentbench_scoring.errors import InvalidInputError, ScoringError, UndefinedMetricError
from agentbench_scoring.markdown import (
    digits_of,
    format_estimate,
    format_p,
    plain,
    render_markdown,
)
from agentbench_scoring.power import (
    Variation,
    minimum_detectable_effect,
    paired_power,
    pilot_variation,
    tasks_needed,
)
from agentbench_scoring.report import build_report
from agentbench_scoring.report_files import write_report
from agentbench_scoring.results import read_results

app = typer.Typer(no_args_is_help=True)


class _Missing(StrEnum):
    failure = "failure"
    drop = "drop"


class _Format(StrEnum):
    md = "md"
    json = "json"
    parquet = "parquet"
    html = "html"


class _Measure(StrEnum):
    human_rank = "human_rank"
    margin = "margin"
    medal = "medal"
    gold = "gold"
    valid = "valid"


_Table = Annotated[Path, typer.Argument(help="A results.jsonl file, or a folder that holds one.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Level = Annotated[float, typer.Option(help="Coverage of the intervals.")]
_OnMeasure = Annotated[_Measure | None, typer.Option(help="What to compare; default: headline.")]
_IfMissing = Annotated[_Missing, typer.Option(help="What a task never run counts as.")]


@app.command("report")
def report_command(
    table: _Table,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; without it Markdown is printed.")
    ] = None,
    formats: Annotated[
        list[_Format] | None, typer.Option("--format", help="Repeatable; default: all four.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the document.")] = "Results",
    level: _Level = 0.95,
    missing: _IfMissing = _Missing.failure,
    as_json: _Json = False,
) -> None:
    """Summarise a results table: leaderboard, comparisons, ratings, and what is wrong."""
    with errors_as_exit_codes():
        results = read_results(table)
        if out is None:
            report = build_report(results, title=title, level=level, missing=missing.value)
            text = report.model_dump_json(indent=1) if as_json else render_markdown(report)
            typer.echo(text)
            return
        written = write_report(
            results,
            out,
            [chosen.value for chosen in formats or _Format],
            title=title,
            level=level,
            missing=missing.value,
        )
        if as_json:
            typer.echo(json.dumps({name: str(path) for name, path in written.items()}))
        else:
            typer.echo("\n".join(str(path) for path in written.values()))


@app.command("compare")
def compare_command(
    table: _Table,
    a: Annotated[str | None, typer.Argument(help="An agent; without it, all pairs.")] = None,
    b: Annotated[str | None, typer.Argument(help="The other agent.")] = None,
    *,
    measure: _OnMeasure = None,
    level: _Level = 0.95,
    missing: _IfMissing = _Missing.failure,
    as_json: _Json = False,
) -> None:
    """Compare agents, paired by task; with all pairs, p-values are Holm-adjusted."""
    with errors_as_exit_codes():
        results = read_results(table)
        chosen = None if measure is None else measure.value
        if a is None:
            pairs = compare_all(results, measure=chosen, level=level, missing=missing.value)
        elif b is None:
            raise InvalidInputError("name two agents, or none to compare all pairs")
        else:
            pairs = (compare(results, a, b, measure=chosen, level=level, missing=missing.value),)
        if as_json:
            typer.echo(json.dumps([pair.model_dump(mode="json") for pair in pairs]))
        else:
            _print_comparisons(pairs)


@app.command("power")
def power_command(
    *,
    tasks: Annotated[int, typer.Option(help="Independent tasks.")],
    seeds: Annotated[int, typer.Option(help="Runs of each agent on each task.")] = 1,
    effect: Annotated[float | None, typer.Option(help="A true difference to find.")] = None,
    task_sd: Annotated[
        float | None, typer.Option(help="SD over tasks of the true difference.")
    ] = None,
    seed_sd: Annotated[float | None, typer.Option(help="SD over seeds on one task.")] = None,
    pilot: Annotated[
        Path | None, typer.Option(help="Estimate both from this results table instead.")
    ] = None,
    agents: Annotated[
        tuple[str, str] | None, typer.Option(help="The two agents of the pilot.")
    ] = None,
    measure: _OnMeasure = None,
    power: Annotated[float, typer.Option(help="Chance wanted of finding the effect.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Two-sided level of the test.")] = 0.05,
    as_json: _Json = False,
) -> None:
    """Minimum detectable effect of a design; with --effect also its power and tasks needed."""
    with errors_as_exit_codes():
        variation = _variation(task_sd, seed_sd, pilot, agents, measure)
        found: dict[str, float] = {
            "tasks": tasks,
            "seeds": seeds,
            "task_sd": variation.task_sd,
            "seed_sd_a": variation.seed_sd_a,
            "seed_sd_b": variation.seed_sd_b,
            "minimum_detectable_effect": minimum_detectable_effect(
                variation, tasks=tasks, seeds=seeds, power=power, alpha=alpha
            ),
        }
        if effect is not None:
            found["power"] = paired_power(effect, variation, tasks=tasks, seeds=seeds, alpha=alpha)
            found["tasks_needed"] = tasks_needed(
                effect, variation, seeds=seeds, power=power, alpha=alpha
            )
        if as_json:
            typer.echo(json.dumps(found))
        else:
            width = max(map(len, found))
            typer.echo("\n".join(f"{name:<{width}}  {value:.6g}" for name, value in found.items()))


def _variation(
    task_sd: float | None,
    seed_sd: float | None,
    pilot: Path | None,
    agents: tuple[str, str] | None,
    measure: _Measure | None,
) -> Variation:
    if pilot is not None and agents is not None and task_sd is None and seed_sd is None:
        chosen = None if measure is None else measure.value
        return pilot_variation(read_results(pilot), *agents, measure=chosen)
    if pilot is None and agents is None and task_sd is not None and seed_sd is not None:
        return Variation(task_sd=task_sd, seed_sd_a=seed_sd, seed_sd_b=seed_sd)
    raise InvalidInputError("give either --task-sd and --seed-sd, or --pilot and --agents")


def _print_comparisons(pairs: Sequence[Comparison]) -> None:
    for pair in pairs:
        adjusted = "" if pair.p_adjusted is None else f", Holm {format_p(pair.p_adjusted)}"
        typer.echo(
            f"{plain(pair.a)} − {plain(pair.b)}, {pair.measure}: "
            f"{format_estimate(pair.difference, digits_of(pair.measure))}\n"
            f"  p {format_p(pair.p)}{adjusted}; won {pair.wins}, tied {pair.ties}, "
            f"lost {pair.losses} of {pair.difference.tasks} tasks; "
            f"a better in {pair.probability_of_improvement:.1%} of run pairs"
        )


@contextmanager
def errors_as_exit_codes() -> Generator[None]:
    """2 for invalid input, 3 for what is undefined, 1 for the rest; one sentence, no traceback."""
    try:
        yield
    except (ScoringError, OSError) as error:
        typer.echo(f"error: {plain(str(error), limit=1000)}", err=True)
        if isinstance(error, UndefinedMetricError):
            sys.exit(3)
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)
