"""The command line."""
# transformers annotates its trainer in part
# pyright: reportUnknownMemberType=false

import json
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="IQLearn: inverse reinforcement learning for language models.",
)

Model = Annotated[str, typer.Option(help="Name or path of the model.")]
Data = Annotated[Path, typer.Option(help="JSON Lines of examples.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Texts per forward pass.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Longest answer.")]
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
    from agentbench_irl.online import OnlineIQLearnTrainer
    from agentbench_irl.pretrained import last_checkpoint, load_model, load_tokenizer
    from agentbench_irl.settings import read_settings
    from agentbench_irl.trainer import IQLearnTrainer

    settings = read_settings(config, context.args)
    inputs, arguments = settings.inputs, settings.config
    arguments.disable_tqdm = arguments.disable_tqdm or as_json
    directory = Path(arguments.output_dir or "runs/irl")
    checkpoint = last_checkpoint(directory)
    if checkpoint and not resume:
        msg = f"{checkpoint} is there already; pass --resume, or another --output-dir"
        raise ConfigError(msg)
    examples = read_jsonl(inputs.data)
    held_out = read_jsonl(inputs.eval_data) if inputs.eval_data else None
    model = inputs.model
    kind = OnlineIQLearnTrainer if arguments.online_mixin else IQLearnTrainer
    trainer = kind(
        _with_lora(load_model(model, arguments), inputs.lora_rank) if inputs.lora else model,
        arguments,
        train_dataset=examples,
        eval_dataset=held_out,
        processing_class=load_tokenizer(model, arguments),
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


@app.command()
def generate(
    *,
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="JSON Lines of prompt, reference and samples.")],
    samples: Annotated[int, typer.Option(min=1, help="Answers per prompt.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0, max=1)] = 1.0,
    min_p: Annotated[float, typer.Option(min=0, max=1)] = 0.0,
    max_new_tokens: MaxNewTokens = 128,
    batch_size: BatchSize = 8,
    seed: Annotated[int, typer.Option()] = 0,
    as_json: AsJson = False,
) -> None:
    """Answer the prompts of a data set; started again, it goes on where it stopped."""
    from agentbench_irl.data import read_jsonl
    from agentbench_irl.generation import Sampler, question_of
    from agentbench_irl.generation import generate as answers_of
    from agentbench_irl.records import Records

    network, tokenizer = _load(model)
    questions = [question_of(example, tokenizer) for example in read_jsonl(data)]
    records = Records(out)
    done = records.keep(lambda written: written // batch_size * batch_size, total=len(questions))
    found = answers_of(
        network,
        tokenizer,
        [question.prompt for question in questions[done:]],
        samples=samples,
        sampler=Sampler(temperature=temperature, top_p=top_p, min_p=min_p),
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        seed=seed + done,
    )
    for question, texts in _progress(zip(questions[done:], found, strict=True), as_json=as_json):
        records.append(
            {"prompt": question.prompt, "reference": question.reference, "samples": texts}
        )
    _show("generated", {"out": str(out), "prompts": len(questions)}, as_json=as_json)


@app.command()
def rewards(
    *,
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="The data's lines, with rewards added.")],
    baseline: Annotated[
        str | None, typer.Option(help="Another model, whose rewards are taken off.")
    ] = None,
    batch_size: BatchSize = 8,
    as_json: AsJson = False,
) -> None:
    """Write the rewards a model gives to each token of a data set; goes on where it stopped."""
    from agentbench_irl.data import read_jsonl
    from agentbench_irl.records import Records, reward_columns
    from agentbench_irl.reward_scale import RewardScale
    from agentbench_irl.rewards import text_rewards

    network, tokenizer = _load(model)
    examples = read_jsonl(data)
    records = Records(out)
    done = records.keep(lambda written: written, total=len(examples))
    found = text_rewards(
        network,
        tokenizer,
        examples[done:],
        scale=RewardScale.load(Path(model)),
        baseline=_load(baseline)[0] if baseline else None,
        batch_size=batch_size,
    )
    for example, text in _progress(zip(examples[done:], found, strict=True), as_json=as_json):
        records.append(example | reward_columns(text))
    _show("rewarded", {"out": str(out), "examples": len(examples)}, as_json=as_json)


@app.command()
def evaluate(
    *,
    answers: Annotated[
        Path | None, typer.Option(help="What `generate` wrote: quality and diversity.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --answers: correlate its rewards with quality.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="With --model: try many samplers on these prompts.")
    ] = None,
    metric: Annotated[str, typer.Option(help="exact_match, rouge1, rouge2 or rougeL.")] = "rougeL",
    samples: Annotated[int, typer.Option(min=2, help="Answers per prompt of a sweep.")] = 4,
    max_new_tokens: MaxNewTokens = 128,
    plot: Annotated[Path | None, typer.Option(help="PNG or SVG of a sweep.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure quality and diversity: of answers, of rewards on answers, or of a sampler sweep."""
    from agentbench_irl.data import read_jsonl
    from agentbench_irl.errors import ConfigError
    from agentbench_irl.generation import question_of
    from agentbench_irl.records import answer_report, correlation_report, sweep_report
    from agentbench_irl.sweep import plot_sweep, sweep

    if answers is not None:
        rows = read_jsonl(answers)
        report = answer_report(rows)
        if model is not None:
            report |= correlation_report(rows, *_load(model), metric=metric, directory=Path(model))
        _show("answers", report, as_json=as_json)
    elif model is not None and data is not None:
        network, tokenizer = _load(model)
        questions = [question_of(example, tokenizer) for example in read_jsonl(data)]
        points = sweep(
            network,
            tokenizer,
            questions,
            metric=metric,
            samples=samples,
            max_new_tokens=max_new_tokens,
        )
        if plot is not None:
            plot_sweep({Path(model).name: points}, plot)
        _show("samplers", sweep_report(points), as_json=as_json)
    else:
        msg = "give --answers FILE, or --model NAME --data FILE for a sampler sweep"
        raise ConfigError(msg)


@app.command()
def env(*, as_json: AsJson = False) -> None:
    """Say what would be used here, and why."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from agentbench_irl.kernels.backend import linear_backend

    report: dict[str, Any] = {"python": platform.python_version()}
    for package in ("agentbench-irl", "torch", "transformers", "accelerate", *_OPTIONAL):
        try:
            report[package] = version(package)
        except PackageNotFoundError:
            report[package] = "not installed"
    backend = linear_backend()
    report |= {"backend": backend.name, "why": backend.reason}
    _show("environment", report, as_json=as_json)


_OPTIONAL = ("cuda-core", "peft", "trl", "sacrebleu", "rouge-score", "matplotlib")


def _with_lora(model: Any, rank: int) -> Any:  # noqa: ANN401 - a model
    from agentbench_irl.evaluate import MissingExtraError

    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        msg = "peft is not installed: pip install 'agentbench-irl[peft]'"
        raise MissingExtraError(msg) from error
    return get_peft_model(model, LoraConfig(r=rank, target_modules="all-linear"))


def _load(name: str) -> tuple[Any, Any]:
    from agentbench_irl.config import IQLearnConfig
    from agentbench_irl.pretrained import load_model, load_tokenizer

    config = IQLearnConfig(output_dir="unused")
    tokenizer = load_tokenizer(name, config)
    return load_model(name, config), tokenizer


def _progress(rows: Any, *, as_json: bool) -> Any:  # noqa: ANN401 - any iterable
    from rich.progress import track

    return track(rows, console=Console(stderr=True), disable=as_json)


def _quiet(trainer: Any) -> None:  # noqa: ANN401 - a Trainer, whose import is slow
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _show(title: str, summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        from agentbench_irl.records import finite

        sys.stdout.write(json.dumps(finite(summary)) + "\n")
        return
    table = Table(title=title, show_header=False)
    for name, value in summary.items():
        cells = cast("dict[str, Any]", value if isinstance(value, dict) else {"": value})
        table.add_row(
            name, "  ".join(f"{key} {_cell(cell)}".strip() for key, cell in cells.items())
        )
    Console().print(table)


def _cell(value: Any) -> str:  # noqa: ANN401 - any value of a report
    if isinstance(value, dict):
        return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
