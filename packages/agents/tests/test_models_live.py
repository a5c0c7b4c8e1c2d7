"""Against real servers, with a random model made on the spot."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentbench_agents.models import (
    Message,
    Model,
    ModelRequestError,
    Sampling,
    ToolSchema,
    open_model,
)
from agentbench_agents.models.openai import OpenAIModel
from agentbench_agents.models.testing import serve, tiny_model

pytestmark = pytest.mark.slow

HELLO: list[Message] = [{"role": "user", "content": "héllo 👋"}]
TOOL: ToolSchema = {
    "type": "function",
    "function": {
        "name": "run",
        "description": "Run code.",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}},
    },
}
TOOL_TURNS: list[Message] = [
    {"role": "system", "content": "You are terse."},
    *HELLO,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "run", "arguments": '{"code": "1"}'},
            }
        ],
    },
    {"role": "tool", "content": "1", "tool_call_id": "c1"},
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[str]:
    with serve(tiny) as url:
        yield url


@pytest.fixture
def model(tiny: Path, server: str) -> Iterator[Model]:
    opened = open_model(f"openai:{tiny}", base_url=server, sampling=Sampling(max_tokens=16))
    yield opened
    opened.close()


def test_a_real_server_answers_and_counts(model: Model) -> None:
    answer = model.complete(HELLO, sampling=Sampling(temperature=0.0))
    assert answer.text
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 16
    # A token is a byte, or one of the two special tokens around a message:
    # "<user>\nhéllo 👋<end>\n<assistant>\n"
    assert answer.usage.prompt_tokens == len("user\nhéllo 👋\nassistant\n".encode()) + 3
    assert answer.usage.cost_usd is None


def test_greedy_answers_repeat_and_seeds_differ(model: Model) -> None:
    greedy = [model.complete(HELLO, sampling=Sampling(temperature=0.0)).text for _ in range(2)]
    assert greedy[0] == greedy[1]
    drawn = [
        model.complete(HELLO, sampling=Sampling(temperature=1.0, seed=seed)).text
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_tools_and_tool_results_reach_the_chat_template(model: Model) -> None:
    plain = model.complete(TOOL_TURNS)
    with_tools = model.complete(TOOL_TURNS, tools=[TOOL])
    assert plain.usage.prompt_tokens
    assert with_tools.usage.prompt_tokens
    assert with_tools.usage.prompt_tokens > plain.usage.prompt_tokens + 50


def test_a_stream_says_what_the_whole_says(tiny: Path, server: str, model: Model) -> None:
    greedy = Sampling(temperature=0.0, max_tokens=16)
    streamed = OpenAIModel(str(tiny), base_url=server, stream=True).complete(HELLO, sampling=greedy)
    assert streamed == model.complete(HELLO, sampling=greedy)


def test_an_unknown_name_is_refused_in_one_sentence(server: str) -> None:
    with pytest.raises(ModelRequestError, match="requested 'no-such'") as error:
        open_model("openai:no-such", base_url=server).complete(HELLO)
    assert str(error.value).startswith(server)


def test_each_call_may_take_its_own_length(model: Model) -> None:
    lengths = [
        model.complete(HELLO, sampling=Sampling(max_tokens=n, temperature=0.0)).usage
        for n in (1, 5)
    ]
    assert [usage.completion_tokens for usage in lengths] == [1, 5]
    assert all(a != b for a, b in itertools.pairwise(lengths))
