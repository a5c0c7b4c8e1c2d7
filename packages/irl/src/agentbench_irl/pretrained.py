"""Models, tokenizers and checkpoints, by name or path."""
# transformers annotates its classes in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
from pathlib import Path
from typing import Any, cast

from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.errors import ConfigError, UnsupportedModelError
from agentbench_irl.head import LinearHead


def load_tokenizer(name: str, args: IQLearnConfig) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model's name or path, with the chat template asked for.

    Raises:
        ConfigError: It cannot be loaded.
    """
    tokenizer = cast("PreTrainedTokenizerBase", _pretrained("tokenizer", AutoTokenizer, name))
    return _with_template(tokenizer, args)


def load_model(name: str, args: IQLearnConfig) -> PreTrainedModel:
    """Return the causal or encoder-decoder language model of a name or path.

    Raises:
        ConfigError: It cannot be loaded.
    """
    options = args.model_init_kwargs if isinstance(args.model_init_kwargs, dict) else {}
    config = _pretrained("model", AutoConfig, name)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    return _pretrained("model", kind, name, **options)


def tokenizer_of(
    model: nn.Module | str, args: IQLearnConfig, given: PreTrainedTokenizerBase | None
) -> PreTrainedTokenizerBase:
    """Return the tokenizer given, or that of the model, with the chat template asked for.

    Raises:
        ConfigError: There is none.
    """
    if given is not None:
        return _with_template(given, args)
    name = model if isinstance(model, str) else str(getattr(model.config, "name_or_path", ""))
    if not name:
        msg = "the model does not say where its tokenizer is; pass it as processing_class"
        raise ConfigError(msg)
    return load_tokenizer(name, args)


def _with_template(
    tokenizer: PreTrainedTokenizerBase, args: IQLearnConfig
) -> PreTrainedTokenizerBase:
    if args.chat_template_path is not None:
        try:
            tokenizer.chat_template = Path(args.chat_template_path).read_text(encoding="utf-8")
        except OSError as error:
            msg = f"cannot read chat_template_path: {error}"
            raise ConfigError(msg) from error
    return tokenizer


def _pretrained(what: str, kind: Any, name: str, **options: Any) -> Any:  # noqa: ANN401
    try:
        return kind.from_pretrained(name, **options)
    except (OSError, ValueError, TypeError) as error:
        msg = f"cannot load the {what} {name!r}: {str(error).splitlines()[0]}"
        raise ConfigError(msg) from error


def is_peft(model: nn.Module) -> bool:
    """Tell whether a model carries PEFT adapters."""
    return hasattr(model, "peft_config") and hasattr(model, "get_base_model")


def check_model(model: nn.Module, args: IQLearnConfig, *, encoder_decoder: bool) -> None:
    """Refuse what cannot be trained as asked.

    Raises:
        ConfigError: A layout that an encoder-decoder does not have.
        UnsupportedModelError: The model has no logits over a vocabulary.
    """
    head = cast("Any", model).get_output_embeddings()
    if head is None:
        msg = f"{type(model).__name__} has no output embeddings, so it has no logits to read Q from"
        raise UnsupportedModelError(msg)
    if encoder_decoder and (args.packing or args.padding_free):
        msg = "packing and padding_free are for decoder-only models"
        raise ConfigError(msg)


def linear_head(model: nn.Module, args: IQLearnConfig) -> LinearHead | None:
    """Return the head of the model, if the loss can do without its logits.

    Raises:
        ConfigError: The back end asked for needs a linear head, and there is none.
    """
    if args.loss_backend == "logits":
        return None
    possible = args.loss_type in {"iqlearn", "mle"} and not args.entropy_weight
    inner: nn.Module = cast("Any", model).get_base_model() if is_peft(model) else model
    head = LinearHead.of(inner) if possible else None
    if head is not None:
        head.install(inner)
    elif args.loss_backend != "auto":
        why = "the head is not one linear layer" if possible else "the loss needs all logits"
        msg = f"loss_backend is {args.loss_backend!r}, but {why}; use 'auto' or 'logits'"
        raise ConfigError(msg)
    return head


def last_checkpoint(output_dir: str | Path) -> str | None:
    """Return the newest checkpoint that was written to its end, if there is one.

    transformers writes `trainer_state.json` last, so a checkpoint whose writing was killed has
    none, or half of one.
    """
    found = list[tuple[int, Path]]()
    for path in Path(output_dir).glob("checkpoint-*/trainer_state.json"):
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found.append((int(state["global_step"]), path.parent))
    return str(max(found)[1]) if found else None
