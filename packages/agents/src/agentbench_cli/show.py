"""What the commands print: tables for people, JSON for programs."""

import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from agentbench_agents.campaign import Watcher
from agentbench_agents.output import printable, trim
from agentbench_agents.run import RunResult, RunSpec
from agentbench_cli.research import print_research

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.replay import Replay
    from agentbench_tasks import Grade, ResearchTask, Task

_COLOURS = {"scored": "green", "invalid": "yellow", "failed": "yellow", "infra": "red"}


class Progress(Watcher):
    """A bar for each run on a terminal, a line for each finished run elsewhere."""

    def __init__(self, specs: Sequence[RunSpec], *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._live = self._console.is_terminal and not quiet
        self._total = len(specs)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[best]}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._bars.stop()

    def started(self, spec: RunSpec) -> None:
        """Show a bar."""
        if self._live:
            self._ids[spec.run_id] = self._bars.add_task(
                escape(_name(spec)), total=spec.budget.steps, best=""
            )

    def stepped(self, spec: RunSpec, env: "TaskEnv") -> None:
        """Move the bar."""
        if self._live:
            best = float(env.observation["best_progress"])
            self._bars.update(
                self._ids[spec.run_id], completed=env.spend.steps, best=f"best {100 * best:.0f} %"
            )

    def finished(self, spec: RunSpec, result: RunResult) -> None:
        """Stop the bar, or print a line."""
        if self._live:
            self._bars.update(self._ids[spec.run_id], best=result.status)
            self._bars.stop_task(self._ids[spec.run_id])
        else:
            score = "" if result.score is None else f", {result.metric} {result.score:.4f}"
            self._console.print(
                f"{_name(spec)}: {result.status}{score}, {result.steps} steps, "
                f"{result.wall_s:.1f} s",
                markup=False,
                highlight=False,
            )


def print_results(results: Sequence[RunResult], directory: Path, *, as_json: bool) -> None:
    """Print a row for each run and where the record is."""
    if as_json:
        _print_json([r.model_dump(mode="json") for r in results])
        return
    several = len({r.agent for r in results}) > 1 or len({r.model for r in results}) > 1
    seeded = len({r.seed for r in results}) > 1
    smooth = all(r.status == "scored" for r in results)
    ranked = any(r.human_rank is not None for r in results)
    research = any(r.research is not None for r in results)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "task",
        *(("agent",) if several else ()),
        *(("seed",) if seeded else ()),
        "metric",
        "score",
        "trivial",
        "strong",
        *(("human rank",) if ranked else ()),
        "margin",
        *(("95 % interval",) if research else ()),
        *(() if smooth else ("status",)),
        "steps",
        "time",
    ):
        table.add_column(name, justify="left" if name in _LEFT else "right", no_wrap=True)
    for r in results:
        table.add_row(
            escape(r.task),
            *((escape(r.agent + (f" {r.model}" if r.model else "")),) if several else ()),
            *((str(r.seed),) if seeded else ()),
            escape(r.metric + (" ↑" if r.higher_is_better else " ↓")),
            _number(r.score),
            _number(r.trivial),
            _number(r.strong),
            *((_percent(r.human_rank),) if ranked else ()),
            _percent(None if r.margin is None else r.margin / 100),
            *((_margin_interval(r),) if research else ()),
            *(() if smooth else (f"[{_COLOURS[r.status]}]{r.status}[/]",)),
            str(r.steps),
            f"{r.wall_s:.1f} s",
        )
    console = _console()
    console.print(table)
    print_research(results, console)
    boxes = ", ".join(sorted({r.sandbox for r in results}))
    told = ", ".join(sorted({r.feedback for r in results}))
    shown = any(r.feedback == "public+private" for r in results)
    honest = "also had feedback on" if shown else "never saw feedback on"
    console.print(
        f"\nScores are on answers that the agent {honest} (sandbox: {boxes}; "
        f"feedback: {told}).\nRuns: {directory}/   trajectories: {directory}/*/trajectory.jsonl\n"
        f"To read what was said: agentbench export {directory} --filter all --to talk.jsonl",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


_LEFT = ("task", "agent", "metric", "status")


def print_grade(grade: "Grade", *, as_json: bool) -> None:
    """Print a grade."""
    if as_json:
        _print_json(grade.model_dump(mode="json"))
        return
    parts = [f"score {grade.score:.6g}"]
    if grade.human_rank is not None:
        parts.append(f"human rank {_percent(grade.human_rank)}")
    if grade.medal is not None:
        parts.append(f"medal {grade.medal}")
    if grade.margin is not None:
        parts.append(f"margin {_percent(grade.margin)}")
    _console().print(", ".join(parts), markup=False, highlight=False)


def print_replay(done: "Replay", *, as_json: bool) -> None:
    """Print whether a replay went the same way, and where it did not."""
    if as_json:
        _print_json({"steps": done.steps, "differences": [asdict(d) for d in done.differences]})
        return
    console = _console()
    for d in done.differences:
        old, new = (printable(trim(repr(v), limit=300)) for v in (d.recorded, d.replayed))
        console.print(f"step {d.step}: {d.field}: {old} became {new}", markup=False, soft_wrap=True)
    how = "the same observations" if done.same else f"{len(done.differences)} differences"
    console.print(f"{done.steps} actions were taken again: {how}")


def print_tasks(tasks: "Sequence[Task | ResearchTask]", *, as_json: bool) -> None:
    """Print the catalogue."""
    if as_json:
        _print_json([t.model_dump(mode="json") for t in tasks])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("task", "metric", "title"):
        table.add_column(name, no_wrap=name != "title")
    for task in tasks:
        table.add_row(escape(task.name), escape(task.metric.name), escape(task.title))
    _console().print(table)


def print_agents(*, as_json: bool) -> None:
    """Print the agents with their parameters and defaults."""
    from agentbench_agents.agent import needs_model
    from agentbench_agents.agents import agent_classes, load_agent

    rows: list[dict[str, Any]] = []
    for name in sorted(agent_classes()):
        agent = load_agent(name)
        parameters = list(inspect.signature(agent).parameters.values())
        rows.append(
            {
                "name": name,
                "needs_model": needs_model(agent),
                "about": (inspect.getdoc(agent) or "").split("\n")[0],
                "parameters": {
                    p.name: None if p.default is p.empty else p.default for p in parameters
                },
                "required": [p.name for p in parameters if p.default is p.empty],
            }
        )
    if as_json:
        _print_json(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("agent", "model", "about", "parameters"):
        table.add_column(title)
    for row in rows:
        shown = ", ".join(
            f"{k} (required)" if k in row["required"] else f"{k}={v!r}"
            for k, v in row["parameters"].items()
        )
        table.add_row(
            escape(row["name"]),
            "needed" if row["needs_model"] else "none",
            escape(row["about"]),
            escape(shown),
        )
    _console().print(table)


def print_doctor(*, as_json: bool) -> None:
    """Try each sandbox back end and look for the optional packages."""
    from importlib.util import find_spec

    from agentbench_agents.run import versions

    sandboxes = {name: _try_sandbox(name) for name in ("docker", "local")}
    extras = {name: find_spec(name) is not None for name in ("sklearn", "openai", "anthropic")}
    if as_json:
        _print_json({"versions": versions(), "sandboxes": sandboxes, "extras": extras})
        return
    console = _console()
    for name, version in versions().items():
        console.print(f"{name} {version}")
    for name, state in sandboxes.items():
        mark = "[green]works[/]" if state["works"] else "[yellow]does not work[/]"
        console.print(f"sandbox {name}: {mark}: {escape(state['about'])}")
    for name, there in extras.items():
        console.print(f"{name}: {'installed' if there else 'not installed'}")


def _try_sandbox(name: str) -> dict[str, Any]:
    from agentbench_sandbox import SandboxError, open_sandbox

    try:
        with open_sandbox(name) as sandbox:
            sandbox.exec(["true"], timeout_s=30, check=True)
            return {"works": True, "about": sandbox.backend}
    except SandboxError as error:
        return {"works": False, "about": str(error)}


def _console() -> Console:
    return Console(highlight=False, width=None if Console().is_terminal else 160)


def _print_json(data: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    Console(soft_wrap=True, highlight=False, markup=False, emoji=False).out(
        json.dumps(data, indent=1, default=str), highlight=False
    )


def _name(spec: RunSpec) -> str:
    return f"{Path(spec.task).stem} · {spec.agent}" + (f" · seed {spec.seed}" if spec.seed else "")


def _margin_interval(result: RunResult) -> str:
    found = result.research or {}
    if result.margin is None or found.get("margin_low") is None:
        return "–"
    return f"{found['margin_low']:.1f} to {found['margin_high']:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
