"""A model in this process, through transformers: token ids and log-probabilities included."""
# transformers leaves much of what it returns untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agentbench_agents.models.errors import (
    ContextLengthError,
    ModelConfigError,
    ModelRequestError,
)
from agentbench_agents.models.http import encodable
from agentbench_agents.models.model import (
    Completion,
    Message,
    Sampling,
    ToolCall,
    ToolSchema,
    Usage,
)

if TYPE_CHECKING:
    import torch

_TOOL_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


class TransformersModel:
    """A causal language model with a chat template.

    ``Completion.token_ids`` are the generated tokens, end-of-turn token included.
    ``Completion.logprobs`` are their log-probabilities under the model itself, at temperature 1 and
    before top-k and top-p: log π(aₜ | s₀ … sₜ). Calls take turns: one model, one generation.

    Args:
        path: A directory with weights, tokenizer and chat template, or a name on the Hugging Face
            hub.
        sampling: Defaults for every call. Without ``max_tokens`` a turn may fill the window;
            without ``temperature`` the model's own generation configuration decides.
        device: Where to put it; a GPU if there is one.
        dtype: Of the weights; ``auto`` is what they were saved in.

    Raises:
        ModelConfigError: torch or transformers is missing, or there is no such model, or it has no
            chat template.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        device: str | None = None,
        dtype: str = "auto",
    ) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError:
            raise ModelConfigError(
                "transformers models need torch and transformers: "
                "pip install 'agentbench-agents[transformers]'"
            ) from None
        self._path = str(path)
        self._sampling = sampling
        self._lock = threading.Lock()
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(self._path)
            model: Any = AutoModelForCausalLM.from_pretrained(self._path, dtype=dtype)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ModelConfigError(
                f"cannot load a causal language model from {self._path!r}: {reason}"
            ) from error
        if not getattr(tokenizer, "chat_template", None):
            raise ModelConfigError(f"the tokenizer in {self._path!r} has no chat template")
        self._tokenizer = tokenizer
        self._model = model.to(self._device).eval()
        config = model.config.get_text_config()
        self._window: int | None = getattr(config, "max_position_embeddings", None)

    def __repr__(self) -> str:
        return f"TransformersModel({self._path!r}, device={self._device!r})"

    @property
    def name(self) -> str:
        """``transformers:`` and the path."""
        return f"transformers:{self._path}"

    @property
    def window(self) -> int | None:
        """Tokens that a prompt and its answer may have together, where the configuration says."""
        return self._window

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    ) -> Completion:
        """Answer a conversation; see `Model.complete`.

        Raises:
            ContextLengthError: The prompt fills the window.
            ModelRequestError: The chat template refuses the conversation.
        """
        wanted = sampling.over(self._sampling)
        with self._lock:
            return self._complete(messages, tools, wanted)

    def _complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], wanted: Sampling
    ) -> Completion:
        prompt = self._render(messages, tools)
        tokens, logprobs = self._generate(prompt, wanted, self._room(len(prompt)))
        text, stopped = _cut(self._decode(tokens), wanted.stop)
        ended = bool(tokens) and tokens[-1] in self._end_tokens()
        parsed, calls = (text, ()) if not tools else self._parse(tokens, text, prompt, tools)
        return Completion(
            text=parsed,
            tool_calls=calls,
            usage=Usage(prompt_tokens=len(prompt), completion_tokens=len(tokens)),
            logprobs=tuple(logprobs),
            token_ids=tuple(tokens),
            prompt_token_ids=tuple(prompt),
            finish_reason="tool_calls" if calls else "stop" if ended or stopped else "length",
        )

    def close(self) -> None:
        """Give the memory back."""
        self._model = self._tokenizer = cast("Any", None)

    def _render(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> list[int]:
        from jinja2 import TemplateError

        try:
            rendered = self._tokenizer.apply_chat_template(
                [encodable(_for_template(message)) for message in messages],
                tools=list(tools) or None,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise ModelRequestError(
                f"the chat template of {self._path!r} refuses the conversation: {error}"
            ) from error
        return list(rendered["input_ids"])

    def _room(self, prompt: int) -> int | None:
        if self._window is None or prompt < self._window:
            return None if self._window is None else self._window - prompt
        raise ContextLengthError(
            f"the prompt has {prompt} tokens and the window of {self._path!r} {self._window}: "
            "shorten the conversation"
        )

    def _generate(
        self, prompt: list[int], sampling: Sampling, room: int | None
    ) -> tuple[list[int], list[float]]:
        import torch
        from transformers import LogitsProcessorList

        recorder = _logprob_recorder()
        with torch.inference_mode(), self._seeded(sampling.seed):
            output = self._model.generate(
                input_ids=torch.tensor([prompt], device=self._device),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=self._device),
                generation_config=self._generation_config(sampling, room),
                logits_processor=LogitsProcessorList([recorder]),
                tokenizer=self._tokenizer,
            )
        tokens = output[0, len(prompt) :].tolist()
        return tokens, recorder.logprobs(output[0])

    def _generation_config(self, sampling: Sampling, room: int | None) -> Any:  # noqa: ANN401
        """The model's own configuration with what was asked for on top."""
        import copy

        config = copy.deepcopy(self._model.generation_config)
        limits = [n for n in (sampling.max_tokens, room) if n is not None]
        config.max_new_tokens = min(limits) if limits else None
        config.stop_strings = list(sampling.stop) or None
        config.num_beams = 1
        if config.pad_token_id is None:
            config.pad_token_id = next(iter(self._end_tokens()), None)
        if sampling.temperature is not None:
            config.do_sample = sampling.temperature > 0
            config.temperature = sampling.temperature or None
        if config.do_sample and sampling.top_p is not None:
            config.top_p = sampling.top_p
        if not config.do_sample:
            config.temperature = config.top_p = config.top_k = None
        return config

    def _seeded(self, seed: int | None) -> Any:  # noqa: ANN401 - a context manager of torch
        """Draw with ``seed`` and leave the process's generators as they were."""
        import torch

        if seed is None:
            return nullcontext()
        on_gpu = torch.device(self._device).type == "cuda"
        return _seeded(seed, [torch.cuda.current_device()] if on_gpu else [])

    def _end_tokens(self) -> set[int]:
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.eos_token_id
        return {ends} if isinstance(ends, int) else set(ends or ())

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=True)

    def _parse(
        self, tokens: list[int], text: str, prompt: list[int], tools: Sequence[ToolSchema]
    ) -> tuple[str, tuple[ToolCall, ...]]:
        """Text and calls: by the tokenizer's response template, else in Hermes' format."""
        template = getattr(self._tokenizer, "response_template", None)
        if template is None:
            return parse_hermes(text)
        try:
            parsed = self._tokenizer.parse_response(tokens, prefix=prompt, tools=list(tools))
        except (TypeError, ValueError, KeyError):
            return text, ()  # the model broke its own format: what it wrote is its answer
        calls = [call.get("function", call) for call in parsed.get("tool_calls") or ()]
        return parsed.get("content") or "", _tool_calls(calls)


def parse_hermes(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Take calls written as ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>`` out.

    Qwen's and many other models write them so. A call that is not valid JSON stays in the text.
    """
    calls: list[dict[str, object]] = []

    def take(match: "re.Match[str]") -> str:
        try:
            found = json.loads(match[1])
        except ValueError:
            return match[0]
        if not isinstance(found.get("name"), str):
            return match[0]
        calls.append(found)
        return ""

    rest = _TOOL_CALL.sub(take, text)
    return (rest.strip() if calls else text), _tool_calls(calls)


def _tool_calls(calls: Sequence[dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(id=f"call_{n}", name=str(call["name"]), arguments=_json(call.get("arguments", {})))
        for n, call in enumerate(calls)
    )


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _for_template(message: Message) -> dict[str, object]:
    """Chat templates want the arguments of a call as an object."""
    turn: dict[str, object] = {**message}
    if "tool_calls" in message:
        turn["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _parsed(call)}}
            for call in message["tool_calls"]
        ]
    return turn


def _parsed(call: Any) -> object:  # noqa: ANN401
    arguments = call["function"]["arguments"]
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop string, and whether there was one."""
    ends = [end for end in (text.find(s) for s in stop) if end >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def _logprob_recorder() -> Any:  # noqa: ANN401 - a class of an extra
    """A logits processor that notes the log-probability of each token once it is chosen.

    It sees the logits before temperature, top-k and top-p, keeps one row of them at a time (V
    floats, where `output_logits` keeps T·V), and changes nothing.
    """
    from transformers import LogitsProcessor

    class Recorder(LogitsProcessor):
        def __init__(self) -> None:
            self._last: torch.Tensor | None = None
            self._chosen: list[torch.Tensor] = []

        def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
            self._note(input_ids[0, -1])
            self._last = scores[0].float().log_softmax(-1)
            return scores

        def logprobs(self, sequence: "torch.Tensor") -> list[float]:
            """Log-probabilities of all generated tokens; ``sequence`` is prompt and answer."""
            self._note(sequence[-1])
            return [float(value) for value in self._chosen]

        def _note(self, token: "torch.Tensor") -> None:
            if self._last is not None:
                self._chosen.append(self._last[token])

    return Recorder()


@contextmanager
def _seeded(seed: int, gpus: list[int]) -> Generator[None]:
    import torch

    with torch.random.fork_rng(gpus):
        torch.manual_seed(seed)
        yield
