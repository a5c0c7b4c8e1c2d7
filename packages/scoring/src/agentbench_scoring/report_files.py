"""The files of a report: Markdown for a README, JSON and Parquet for programs, one HTML page."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from agentbench_scoring.aggregates import AgentSummary
from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.markdown import render_markdown
from agentbench_scoring.measures import Missing
from agentbench_scoring.page import render_page
from agentbench_scoring.report import Report, build_report
from agentbench_scoring.results import Results, read_results
from agentbench_scoring.task_means import Estimate

Format = Literal["md", "json", "parquet", "html"]
FORMATS: tuple[Format, ...] = ("md", "json", "parquet", "html")
_ESTIMATE_COLUMNS: dict[str, type[pl.DataType]] = {
    "entrant": pl.String,
    "agent": pl.String,
    "model": pl.String,
    "measure": pl.String,
    "value": pl.Float64,
    "suite_low": pl.Float64,
    "suite_high": pl.Float64,
    "population_low": pl.Float64,
    "population_high": pl.Float64,
    "level": pl.Float64,
    "tasks": pl.Int64,
    "families": pl.Int64,
    "runs": pl.Int64,
    "schema_version": pl.Int64,
}


def write_report(
    results: Results | str | Path | Iterable[Mapping[str, object]],
    out: str | Path,
    formats: Sequence[Format] = FORMATS,
    *,
    title: str = "Results",
    level: float = 0.95,
    missing: Missing = "failure",
    seed: int = 0,
) -> dict[Format, Path]:
    """Write ``report.<format>`` files; each appears whole or not at all.

    Args:
        results: a checked table, or whatever :func:`read_results` reads.
        out: folder, made if it does not exist.
        formats: any of ``md``, ``json``, ``parquet``, ``html``.
        title: of the document.
        level: nominal coverage of every interval.
        missing: see :mod:`agentbench_scoring.measures`.
        seed: of the bootstraps.

    Returns:
        The file of each format.

    Raises:
        InvalidInputError: the table or a format is not valid.
    """
    for name in formats:
        if name not in FORMATS:
            raise InvalidInputError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")
    table = results if isinstance(results, Results) else read_results(results)
    report = build_report(table, title=title, level=level, missing=missing, seed=seed)
    writers: dict[Format, Callable[[Path], object]] = {
        "md": lambda path: path.write_text(render_markdown(report), encoding="utf-8"),
        "json": lambda path: path.write_text(report.model_dump_json(indent=1), encoding="utf-8"),
        "html": lambda path: path.write_text(render_page(report), encoding="utf-8"),
        "parquet": lambda path: estimates_frame(report).write_parquet(path),
    }
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[Format, Path] = {}
    for name in formats:
        written[name] = folder / f"report.{name}"
        _write_whole(written[name], writers[name])
    return written


def estimates_frame(report: Report) -> pl.DataFrame:
    """One row per agent and measure: value, both intervals, counts, schema version."""
    rows: list[dict[str, object]] = []
    for summary in report.aggregates.agents:
        for measure, found in named_estimates(summary).items():
            row: dict[str, object] = {
                "entrant": summary.entrant,
                "agent": summary.agent,
                "model": summary.model,
                "measure": measure,
                "value": found.value,
                "suite_low": found.suite.low if found.suite else None,
                "suite_high": found.suite.high if found.suite else None,
                "population_low": found.population.low if found.population else None,
                "population_high": found.population.high if found.population else None,
                "level": report.aggregates.level,
                "tasks": found.tasks,
                "families": found.families,
                "runs": found.runs,
                "schema_version": report.schema_version,
            }
            rows.append(row)
    return pl.DataFrame(rows, schema=_ESTIMATE_COLUMNS)


def named_estimates(summary: AgentSummary) -> dict[str, Estimate]:
    """Every estimate of one agent by its name: ``human_rank``, ``iqm``, ``pass@2``, ..."""
    named: dict[str, Estimate | None] = {
        **summary.estimates,
        "best_margin": summary.best_margin,
        "iqm": summary.iqm,
        "optimality_gap": summary.optimality_gap,
    }
    for attempts in summary.attempts:
        named[f"pass@{attempts.k}"] = attempts.pass_at_k
        named[f"pass^{attempts.k}"] = attempts.pass_hat_k
        named[f"best_of_{attempts.k}"] = attempts.best_of_k
    return {name: found for name, found in named.items() if found is not None}


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target and rename, so that a reader never sees half a file."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
