"""A run's settings from a YAML file and flags: the same names, the same types, one parser."""
# transformers annotates its parser in part
# pyright: reportUnknownMemberType=false

import argparse
import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import yaml
from transformers import HfArgumentParser

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.errors import ConfigError

FILE_NAME = "config.yaml"


@dataclasses.dataclass(kw_only=True)
class Inputs:
    """What is trained on what."""

    model: str = dataclasses.field(metadata={"help": "Name or path of the model."})
    data: str = dataclasses.field(metadata={"help": "JSON Lines of examples."})
    eval_data: str | None = dataclasses.field(
        default=None, metadata={"help": "JSON Lines of held-out examples."}
    )
    lora: bool = dataclasses.field(
        default=False, metadata={"help": "Train LoRA adapters on all linear layers (extra peft)."}
    )
    lora_rank: int = dataclasses.field(default=16, metadata={"help": "Rank of the adapters."})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a training run was asked to do.

    Attributes:
        inputs: Model and data.
        config: Everything else.
        asked: Names and values as they were given, without defaults.
    """

    inputs: Inputs
    config: IQLearnConfig
    asked: dict[str, Any]

    def save(self, directory: Path) -> None:
        """Write `config.yaml`, from which the same run can be started again."""
        directory.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(self.asked, sort_keys=True, allow_unicode=True)
        (directory / FILE_NAME).write_text(text, encoding="utf-8")


def read_settings(config_file: Path | None, flags: Sequence[str]) -> Settings:
    """Return the settings of a file, overridden by flags.

    Args:
        config_file: YAML mapping of field names of `Inputs` and `IQLearnConfig` to values.
        flags: `--name value`, with - or _ in names.

    Raises:
        ConfigError: A name or value is not valid, or the model or the data is missing.
    """
    parser = _Parser()
    given = _parse(parser, _as_flags(_read_yaml(config_file))) | _parse(parser, flags)
    missing = [f"--{name}" for name in ("model", "data") if name not in given]
    if missing:
        msg = f"missing {' and '.join(missing)}, in the flags or in --config"
        raise ConfigError(msg)
    own = {field.name for field in dataclasses.fields(Inputs)}
    inputs = Inputs(**{name: value for name, value in given.items() if name in own})
    rest: dict[str, Any] = {"output_dir": "runs/irl"}
    rest |= {name: value for name, value in given.items() if name not in own}
    return Settings(inputs=inputs, config=IQLearnConfig(**rest), asked=given)


class _Parser(HfArgumentParser):
    def __init__(self) -> None:
        super().__init__(cast("Any", [Inputs, IQLearnConfig]), allow_abbrev=False, add_help=False)
        self.names = {action.dest for action in self._actions}
        for action in self._actions:
            action.required, action.default = False, argparse.SUPPRESS

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _parse(parser: _Parser, flags: Sequence[str]) -> dict[str, Any]:
    known, unknown = parser.parse_known_args(list(flags))
    if unknown:
        name = unknown[0].lstrip("-").split("=")[0].replace("-", "_")
        close = difflib.get_close_matches(name, parser.names, n=1)
        hint = f"; did you mean --{close[0].replace('_', '-')}?" if close else ""
        msg = f"there is no setting {unknown[0]}{hint}"
        raise ConfigError(msg)
    return dict(vars(known))


def _read_yaml(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"cannot read {path}: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if not isinstance(document, dict):
        msg = f"{path} must map names to values"
        raise ConfigError(msg)
    return cast("dict[str, Any]", document)


def _as_flags(document: Mapping[str, Any]) -> list[str]:
    flags = list[str]()
    for name, value in document.items():
        if value is None:
            continue
        if value is True:  # what a flag without a value means, also where its type is not bool
            flags.append(f"--{name}")
            continue
        match value:
            case list():
                words = [str(item) for item in cast("list[Any]", value)]
            case dict():
                words = [json.dumps(value)]
            case _:
                words = [str(value)]
        flags += [f"--{name}={words[0]}"] if len(words) == 1 else [f"--{name}", *words]
    return flags
