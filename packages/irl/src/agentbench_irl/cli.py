"""The command line."""
# transformers annotates its trainer in part
# pyright: reportUnknownMemberType=false

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="IQLearn: inverse reinforcement learning for language models.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def agentbench_irl() -> None:
    """IQLearn: inverse reinforcement learning for language models."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    *,
    config: Annotated[Path | None, typer.Option(help="YAML of settings; flags win.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last complete checkpoint.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a model: --model NAME --data FILE.jsonl, and any field of IQLearnConfig as a flag.

    The output directory gets the model, checkpoints, the reward scale (iqlearn.json) and
    config.yaml, from which --config starts the same run again.
    """
    from agentbench_irl.data import read_jsonl
    from agentbench_irl.errors import ConfigError
    from agentbench_irl.settings import read_settings
    from agentbench_irl.trainer import IQLearnTrainer, last_checkpoint

    settings = read_settings(config, context.args)
    inputs, arguments = settings.inputs, settings.config
    arguments.disable_tqdm = arguments.disable_tqdm or as_json
    directory = Path(arguments.output_dir or "runs/irl")
    checkpoint = last_checkpoint(directory)
    if checkpoint and not resume:
        msg = f"{checkpoint} is there already; pass --resume, or another --output-dir"
        raise ConfigError(msg)
    trainer = IQLearnTrainer(
        inputs.model,
        arguments,
        train_dataset=read_jsonl(inputs.data),
        eval_dataset=read_jsonl(inputs.eval_data) if inputs.eval_data else None,
    )
    if trainer.is_world_process_zero():
        settings.save(directory)
    if as_json:
        _quiet(trainer)
    result = trainer.train(resume_from_checkpoint=checkpoint if resume else None)
    trainer.save_model()
    summary: dict[str, Any] = {
        "output_dir": str(directory),
        "steps": result.global_step,
        "train_loss": result.training_loss,
    }
    logged = [row for row in trainer.state.log_history if "nll" in row]
    summary |= {name: logged[-1][name] for name in ("nll", "td", "accuracy")} if logged else {}
    if inputs.eval_data:
        summary |= trainer.evaluate()
    if trainer.is_world_process_zero():
        _show("trained", summary, as_json=as_json)


def _quiet(trainer: Any) -> None:  # noqa: ANN401 - a Trainer, whose import is slow
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _show(title: str, summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    table = Table(title=title, show_header=False)
    for name, value in summary.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


def main() -> None:
    """Run the command line; a failure is one line, exit code 2 if the input is at fault, else 1."""
    from agentbench_irl.errors import IRLError

    try:
        app()
    except IRLError as error:
        _fail(str(error), code=2)
    except (OSError, RuntimeError) as error:
        _fail(f"{type(error).__name__}: {error}", code=1)
    except KeyboardInterrupt:
        _fail("interrupted; --resume goes on from the last checkpoint", code=1)


def _fail(message: str, *, code: int) -> None:
    sys.stderr.write(f"agentbench-irl: {message}\n")
    raise SystemExit(code)
