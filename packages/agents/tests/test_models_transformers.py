"""In process: the log-probabilities are the model's, and the tokens are the text."""
# pyright: reportUnknownMemberType=false, reportPrivateUsage=false

import json
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentbench_agents.models import (
    ContextLengthError,
    Message,
    ModelConfigError,
    ModelRequestError,
    Sampling,
    ToolSchema,
    open_model,
)
from agentbench_agents.models.testing import tiny_model
from agentbench_agents.models.transformers import TransformersModel, parse_hermes

LONG = 3  # a seed with an answer of more than ten characters
HELLO: list[Message] = [{"role": "user", "content": "héllo 👋"}]
TOOL: ToolSchema = {
    "type": "function",
    "function": {
        "name": "run",
        "description": "Run code.",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny", window=512)


@pytest.fixture(scope="module")
def model(tiny: Path) -> TransformersModel:
    return TransformersModel(tiny, device="cpu")


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0, max_tokens=12),
        Sampling(temperature=1.0, max_tokens=12, seed=1),
        Sampling(temperature=0.3, top_p=0.5, max_tokens=12, seed=2),
    ],
    ids=["greedy", "temperature 1", "temperature 0.3, top-p 0.5"],
)
def test_log_probabilities_are_those_of_one_forward_pass(
    tiny: Path, model: TransformersModel, sampling: Sampling
) -> None:
    answer = model.complete(HELLO, sampling=sampling)
    assert answer.token_ids
    assert answer.logprobs
    assert answer.prompt_token_ids
    prompt = len(answer.prompt_token_ids)
    network = cast("Any", AutoModelForCausalLM).from_pretrained(tiny)
    with torch.no_grad():
        sequence = torch.tensor([answer.prompt_token_ids + answer.token_ids])
        logits = network(sequence).logits[0, prompt - 1 : -1].double()
    chosen = torch.tensor(answer.token_ids)[:, None]
    expected = logits.log_softmax(-1).gather(1, chosen)[:, 0].tolist()
    assert answer.logprobs == pytest.approx(expected, abs=1e-4)
    if sampling.temperature == 0.0:
        assert answer.token_ids == tuple(logits.argmax(-1).tolist())


def test_tokens_decode_to_the_text_and_are_counted(tiny: Path, model: TransformersModel) -> None:
    answer = model.complete(HELLO, sampling=Sampling(temperature=1.0, seed=LONG, max_tokens=400))
    tokenizer = cast("Any", AutoTokenizer).from_pretrained(tiny)
    assert answer.token_ids
    assert tokenizer.decode(answer.token_ids, skip_special_tokens=True) == answer.text
    assert answer.usage.completion_tokens == len(answer.token_ids)
    assert answer.usage.prompt_tokens == len("user\nhéllo 👋\nassistant\n".encode()) + 3
    assert answer.finish_reason == "stop"
    assert answer.token_ids[-1] == tokenizer.eos_token_id


def test_a_seed_repeats_a_draw_and_leaves_the_generator_alone(model: TransformersModel) -> None:
    def draw(seed: int) -> str:
        sampling = Sampling(temperature=1.0, seed=seed, max_tokens=16)
        return model.complete(HELLO, sampling=sampling).text

    torch.manual_seed(0)
    before = torch.rand(1).item()
    torch.manual_seed(0)
    assert draw(5) == draw(5) != draw(6)
    assert torch.rand(1).item() == before


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(model: TransformersModel) -> None:
    whole = model.complete(
        HELLO, sampling=Sampling(temperature=1.0, seed=LONG, max_tokens=400)
    ).text
    stop = whole[4:6]
    answer = model.complete(
        HELLO, sampling=Sampling(temperature=1.0, seed=LONG, max_tokens=400, stop=(stop,))
    )
    assert answer.text == whole[: whole.index(stop)]
    assert answer.finish_reason == "stop"


def test_an_answer_stops_at_the_limit_and_at_the_window(model: TransformersModel) -> None:
    short = model.complete(HELLO, sampling=Sampling(temperature=1.0, seed=LONG, max_tokens=3))
    assert (short.usage.completion_tokens, short.finish_reason) == (3, "length")
    full = model.complete(
        [{"role": "user", "content": "x" * 488}], sampling=Sampling(temperature=1.0, seed=LONG)
    )
    assert full.usage.prompt_tokens == 507
    assert (full.usage.completion_tokens, full.finish_reason) == (5, "length")
    with pytest.raises(ContextLengthError, match=r"has 618 tokens and the window of .* 512"):
        model.complete([{"role": "user", "content": "x" * 599}])


def test_tools_reach_the_template_with_arguments_as_objects(
    tiny: Path, model: TransformersModel
) -> None:
    call: Message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "run", "arguments": '{"a": 1}'}}
        ],
    }
    answer = model.complete(
        [*HELLO, call, {"role": "tool", "content": "7", "tool_call_id": "c"}],
        tools=[TOOL],
        sampling=Sampling(max_tokens=1),
    )
    text = cast("Any", AutoTokenizer).from_pretrained(tiny).decode(answer.prompt_token_ids)
    assert '<tool_call>{"name": "run", "arguments": {"a": 1}}</tool_call>' in text
    assert '"description": "Run code."' in text
    assert "tool\n7" in text


@pytest.mark.parametrize(
    ("written", "text", "calls"),
    [
        pytest.param("plain", "plain", "[]", id="none"),
        pytest.param(
            'Go.\n<tool_call>\n{"name": "run", "arguments": {"code": "é"}}\n</tool_call>',
            "Go.",
            '[["run", {"code": "é"}]]',
            id="one",
        ),
        pytest.param(
            '<tool_call>{"name": "a"}</tool_call><tool_call>{"name": "b", "arguments": "{}"}'
            "</tool_call>",
            "",
            '[["a", {}], ["b", {}]]',
            id="two",
        ),
        pytest.param(
            "<tool_call>{oops}</tool_call>", "<tool_call>{oops}</tool_call>", "[]", id="not JSON"
        ),
        pytest.param(
            '<tool_call>{"name": 3}</tool_call>',
            '<tool_call>{"name": 3}</tool_call>',
            "[]",
            id="no name",
        ),
        pytest.param("<tool_call>{", "<tool_call>{", "[]", id="unfinished"),
    ],
)
def test_calls_in_hermes_format(written: str, text: str, calls: str) -> None:
    rest, found = parse_hermes(written)
    assert rest == text
    assert [[call.name, json.loads(call.arguments)] for call in found] == json.loads(calls)


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelConfigError, match="cannot load a causal language model") as error:
        open_model(f"transformers:{tmp_path}")
    assert "\n" not in str(error.value)


def test_a_tokenizer_without_chat_template_is_refused(tiny: Path, tmp_path: Path) -> None:
    for file in tiny.iterdir():
        if file.suffix != ".jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelConfigError, match="has no chat template"):
        TransformersModel(tmp_path)


def test_a_conversation_that_the_template_refuses_is_the_requests_fault(tiny: Path) -> None:
    model = TransformersModel(tiny, device="cpu")
    model._tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ModelRequestError, match="roles must alternate"):
        model.complete(HELLO)


def test_two_builds_with_one_seed_are_equal(tiny: Path, tmp_path: Path) -> None:
    again = tiny_model(tmp_path / "again", window=512)
    other = tiny_model(tmp_path / "other", window=512, seed=1)
    weights = [(p / "model.safetensors").read_bytes() for p in (tiny, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_the_tiny_model_speaks_printable_characters_about_evenly(model: TransformersModel) -> None:
    draws = [
        model.complete(HELLO, sampling=Sampling(temperature=1.0, seed=seed, max_tokens=64))
        for seed in range(4)
    ]
    assert all(draw.text.isascii() for draw in draws)
    logprobs = [logprob for draw in draws for logprob in draw.logprobs or ()]
    assert abs(-sum(logprobs) / len(logprobs) - math.log(97)) < 0.3
