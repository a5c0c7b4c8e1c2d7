"""The commands. What is heavy is imported by the command that needs it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from agentbench_agents.run import RunResult, RunSpec

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Give agents machine-learning tasks, in a sandbox, and score them against people.",
)
QUICKSTART = ("digits", "breast-cancer", "diabetes")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Directory for runs and results.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at the same time.")]


@app.command()
def run(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Tasks, or task files. [default: quickstart tasks]")
    ] = None,
    *,
    suite: Annotated[
        str | None, typer.Option("--suite", help="Add all tasks of a suite, e.g. research-lite.")
    ] = None,
    agent: Annotated[str, typer.Option("--agent", "-a", help="Agent or module:attribute.")] = (
        "baseline"
    ),
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="Agent parameter NAME=VALUE.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Language model, e.g. openai:NAME.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Address of the model's server.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=256, help="Tokens that the model can read and write.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs per task: seeds 0..N-1.")] = 1,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Steps per run. [default: 15; research tasks: 50]"),
    ] = None,
    wall: Annotated[float | None, typer.Option("--wall", min=1, help="Seconds per run.")] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", min=1, help="Tokens per run.")] = None,
    cost: Annotated[float | None, typer.Option("--cost", min=0.0, help="Dollars per run.")] = None,
    feedback: Annotated[
        str | None,
        typer.Option(
            help="What the agent learns: none, validity, validation, public, public+private."
        ),
    ] = None,
    sandbox: Annotated[
        str, typer.Option(help="auto, docker, local, or unsafe-local (no isolation).")
    ] = "auto",
    image: Annotated[str | None, typer.Option(help="Image of the docker sandbox.")] = None,
    data: Annotated[Path | None, typer.Option(help="Directory of prepared tasks.")] = None,
    out: Out = Path("runs"),
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Let an agent work on tasks and print how it scored. Runs that are done stay done."""
    from agentbench_agents.agent import needs_model
    from agentbench_agents.agents import find_agent
    from agentbench_agents.campaign import Campaign
    from agentbench_agents.models import open_model
    from agentbench_agents.research import budget_of, load_any
    from agentbench_agents.run import RunSpec

    params = _parameters(param or [])
    made = find_agent(agent, params)
    if needs_model(made) and model is None:
        raise typer.BadParameter(
            f"agent {agent!r} needs a language model; name one with --model, e.g. openai:NAME",
            param_hint="--model",
        )
    if model is not None:
        open_model(model, base_url=base_url).close()
    names = [*(tasks or []), *(_suite(suite) if suite else [])] or list(QUICKSTART)
    budgets = {
        name: budget_of(load_any(name), steps=steps, wall_s=wall, tokens=tokens, cost_usd=cost)
        for name in names
    }
    specs = [
        RunSpec(
            task=str(Path(name).resolve()) if Path(name).suffix in (".yaml", ".yml") else name,
            agent=agent,
            agent_params=params,
            model=model,
            base_url=base_url,
            window=window,
            seed=seed,
            budget=budgets[name],
            feedback=feedback,
            sandbox=sandbox,
            image=image,
            data_root=None if data is None else str(data.resolve()),
        )
        for name in names
        for seed in range(seeds)
    ]
    _prepare(specs)
    campaign = Campaign(out)
    _execute(campaign, campaign.plan(specs), jobs=jobs, as_json=as_json)


@app.command()
def resume(
    directory: Annotated[Path, typer.Argument(help="Directory that `agentbench run` wrote.")],
    *,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Do what an interrupted `agentbench run` left undone."""
    from agentbench_agents.campaign import read_campaign

    campaign = read_campaign(directory)
    specs = campaign.specs()
    _prepare(specs)
    _execute(campaign, specs, jobs=jobs, as_json=as_json)


@app.command()
def play(
    task: Annotated[str, typer.Argument(help="Task.")],
    *,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps.")] = 15,
    feedback: Annotated[str | None, typer.Option(help="What you learn; see `run`.")] = None,
    sandbox: Annotated[str, typer.Option(help="auto, docker, local, or unsafe-local.")] = "auto",
    image: Annotated[str | None, typer.Option(help="Image of the docker sandbox.")] = None,
    data: Annotated[Path | None, typer.Option(help="Directory of prepared tasks.")] = None,
    out: Out = Path("runs"),
) -> None:
    """Act in the environment yourself; the run is recorded as any other."""
    from itertools import count

    from agentbench_agents.budget import Budget
    from agentbench_agents.campaign import Campaign
    from agentbench_agents.run import RunSpec
    from agentbench_cli.errors import fail
    from agentbench_cli.show import print_results

    specs = (
        RunSpec(
            task=task,
            agent="agentbench_cli.play:Human",
            seed=seed,
            budget=Budget(steps=steps),
            feedback=feedback,
            sandbox=sandbox,
            image=image,
            data_root=None if data is None else str(data.resolve()),
        )
        for seed in count()
    )
    spec = next(s for s in specs if not (out / s.run_id).exists())
    _prepare([spec])
    campaign = Campaign(out)
    results = campaign.execute(campaign.plan([spec]))
    print_results(results, out, as_json=False)
    if results[0].status == "infra":
        fail(f"the run could not be carried out: {results[0].error}", 1)


@app.command()
def replay(
    directory: Annotated[Path, typer.Argument(help="Directory of one run: OUT/RUN_ID.")],
    *,
    sandbox: Annotated[str | None, typer.Option(help="Another back end than the run's.")] = None,
    as_json: Json = False,
) -> None:
    """Take the actions of a run again and say whether the observations are the same."""
    from agentbench_agents.replay import replay as take_again
    from agentbench_cli.show import print_replay

    done = take_again(directory, sandbox=sandbox)
    print_replay(done, as_json=as_json)
    if not done.same:
        raise typer.Exit(1)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="Directory that `agentbench run` wrote.")],
    *,
    to: Annotated[
        Path | None, typer.Option("--to", help="Also write report.{md,json,parquet,html} here.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="Model that rates the methods of research runs, beside the scores."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Address of the judge's server.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the results of a directory again; write a report with intervals and comparisons."""
    from agentbench_agents.campaign import read_campaign
    from agentbench_cli.show import print_results

    results = read_campaign(directory).results()
    print_results(results, directory, as_json=as_json)
    if to is not None:
        from agentbench_scoring import write_report

        written = write_report([_row(r) for r in results], to)
        typer.echo("\n".join(str(path) for path in written.values()), err=as_json)
    if judge is not None:
        from agentbench_cli.research import judge_and_print

        judge_and_print(results, directory, judge, base_url=base_url, quiet=as_json)


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="Directory that `agentbench run` wrote.")],
    *,
    to: Annotated[Path, typer.Option("--to", help="JSON Lines file to write.")],
    format_: Annotated[
        str, typer.Option("--format", "-f", help="messages, rows (tokens) or atif (ATIF-v1.8).")
    ] = "messages",
    keep: Annotated[
        str,
        typer.Option("--filter", help="all, scored, best-per-task, top-K, score>=X, margin>=X."),
    ] = "scored",
) -> None:
    """Write trajectories as training data."""
    from agentbench_agents.export import export as rows

    lines = [json.dumps(row) + "\n" for row in rows(directory, format_=format_, keep=keep)]
    temporary = to.with_name(f".{to.name}.part")
    temporary.write_text("".join(lines), encoding="utf-8")
    temporary.replace(to)
    typer.echo(f"{len(lines)} rows written to {to}")


@app.command()
def grade(
    task: Annotated[str, typer.Argument(help="Task.")],
    submission: Annotated[Path, typer.Argument(help="CSV file.")],
    *,
    data: Annotated[Path | None, typer.Option(help="Directory of prepared tasks.")] = None,
    as_json: Json = False,
) -> None:
    """Grade a submission file on all answers of a task."""
    from agentbench_cli.show import print_grade
    from agentbench_tasks import grade as grade_submission
    from agentbench_tasks import load_task, prepare

    if not submission.is_file():
        raise typer.BadParameter(f"{submission} is no file", param_hint="SUBMISSION")
    prepared = prepare(load_task(task), data)
    print_grade(grade_submission(prepared, submission, part="all"), as_json=as_json)


@app.command("tasks")
def list_tasks_command(*, as_json: Json = False) -> None:
    """List the tasks."""
    from agentbench_cli.show import print_tasks
    from agentbench_tasks import list_tasks, load_research, research_names

    print_tasks([*list_tasks(), *map(load_research, research_names())], as_json=as_json)


@app.command("agents")
def list_agents(*, as_json: Json = False) -> None:
    """List the agents and their parameters."""
    from agentbench_cli.show import print_agents

    print_agents(as_json=as_json)


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Say what works on this machine and what to do about the rest."""
    from agentbench_cli.show import print_doctor

    print_doctor(as_json=as_json)


def _row(result: "RunResult") -> dict[str, Any]:
    """A row of the results table: a failure, which counts as the worst there, has no margin."""
    row = result.model_dump(mode="json")
    return row if result.status == "scored" else {**row, "margin": None}


def _parameters(given: list[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise typer.BadParameter(f"{item!r} is not NAME=VALUE", param_hint="--param")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


def _suite(name: str) -> list[str]:
    from agentbench_tasks import list_tasks, load_research, research_names

    found = [t.name for t in map(load_research, research_names()) if name in t.suites]
    found += [task.name for task in list_tasks(suite=name)]
    if not found:
        raise typer.BadParameter(f"no task is in a suite {name!r}", param_hint="--suite")
    return found


def _prepare(specs: "list[RunSpec]") -> None:
    """Prepare each task once, before any run begins."""
    from agentbench_agents.research import load_any, prepare_any

    for task, root in dict.fromkeys((s.task, s.data_root) for s in specs):
        prepare_any(load_any(task), None if root is None else Path(root))


def _execute(campaign: Any, specs: "list[RunSpec]", *, jobs: int, as_json: bool) -> None:  # noqa: ANN401
    from agentbench_cli.errors import fail
    from agentbench_cli.show import Progress, print_results

    try:
        with Progress(specs, quiet=as_json) as progress:
            results = campaign.execute(specs, jobs=jobs, watcher=progress)
    except KeyboardInterrupt:
        fail(f"interrupted; go on with: agentbench resume {campaign.directory}", 1)
        return
    print_results(results, campaign.directory, as_json=as_json)
    broken = [r for r in results if r.status == "infra"]
    if broken:
        fail(
            f"{len(broken)} of {len(specs)} runs could not be carried out: {broken[0].error}; "
            f"then go on with: agentbench resume {campaign.directory}",
            1,
        )
    if len(results) < len(specs):
        fail(f"{len(specs) - len(results)} runs are in progress in another process", 1)
