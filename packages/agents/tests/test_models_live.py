"""Against real servers, with a random model made on the spot."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentbench_agents.models import (
    Completion,
    ContextLengthError,
    Message,
    Model,
    ModelRequestError,
    Sampling,
    ToolSchema,
    open_model,
)
from agentbench_agents.models.anthropic import AnthropicModel
from agentbench_agents.models.openai import OpenAIModel
from agentbench_agents.models.testing import serve, tiny_gguf, tiny_model

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
def transformers_server(tiny: Path) -> Iterator[str]:
    with serve(tiny) as url:
        yield url


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="module")
def llama_cpp_server(gguf: Path) -> Iterator[str]:
    with serve(gguf) as url:
        yield url


SERVERS = ["transformers serve", "transformers serve, stream", "llama.cpp", "llama.cpp, stream"]


@pytest.fixture(params=[*SERVERS, "llama.cpp, anthropic"])
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    server, _, protocol = str(request.param).partition(", ")
    transformers = server == "transformers serve"
    path = str(request.getfixturevalue("tiny" if transformers else "gguf"))
    url = request.getfixturevalue("transformers_server" if transformers else "llama_cpp_server")
    opened: Model = (
        AnthropicModel(path, base_url=url)
        if protocol == "anthropic"
        else OpenAIModel(path, base_url=url, stream=protocol == "stream")
    )
    yield opened
    opened.close()


def test_a_real_server_answers_and_counts(model: Model) -> None:
    answer = model.complete(HELLO, sampling=Sampling(temperature=1.0, seed=1, max_tokens=4))
    assert answer.text.isascii()
    assert 0 < len(answer.text) <= 4
    assert answer.finish_reason in {"length", "stop"}
    assert answer.usage.completion_tokens
    assert 1 <= answer.usage.completion_tokens <= 4
    # A token is a byte, or one of the three special tokens: "<user\nhéllo 👋>\n<assistant\n"
    assert answer.usage.prompt_tokens == len("user\nhéllo 👋\nassistant\n".encode()) + 3
    assert answer.usage.cost_usd is None


def test_greedy_answers_repeat_and_seeds_differ(model: Model) -> None:
    greedy = [
        model.complete(HELLO, sampling=Sampling(temperature=0.0, max_tokens=8)).text
        for _ in range(2)
    ]
    assert greedy[0] == greedy[1]
    if "anthropic" in model.name:
        return  # its protocol has no seed
    drawn = [
        model.complete(HELLO, sampling=Sampling(temperature=1.0, seed=seed, max_tokens=8)).text
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("server", ["transformers", "llama_cpp"])
def test_a_stream_says_what_the_whole_says(request: pytest.FixtureRequest, server: str) -> None:
    path = str(request.getfixturevalue("tiny" if server == "transformers" else "gguf"))
    url = request.getfixturevalue(f"{server}_server")
    draw = Sampling(temperature=1.0, seed=7, max_tokens=64)
    answers: list[Completion] = []
    for stream in (True, False):
        with closing(OpenAIModel(path, base_url=url, stream=stream)) as model:
            answers.append(model.complete(HELLO, sampling=draw))
    streamed, whole = answers
    assert streamed.text == whole.text
    assert streamed.finish_reason == whole.finish_reason
    assert streamed.usage.completion_tokens == whole.usage.completion_tokens


def test_llama_cpp_returns_log_probabilities(gguf: Path, llama_cpp_server: str) -> None:
    draw = Sampling(temperature=1.0, seed=2, max_tokens=16, logprobs=True)
    with closing(OpenAIModel(str(gguf), base_url=llama_cpp_server, sampling=draw)) as model:
        answer = model.complete(HELLO)
    assert answer.logprobs
    assert len(answer.logprobs) == answer.usage.completion_tokens
    assert all(-12 < logprob < 0 for logprob in answer.logprobs)


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_prompt_beyond_the_window_is_told_apart(
    gguf: Path, llama_cpp_server: str, protocol: str
) -> None:
    with (
        closing(open_model(f"{protocol}:{gguf}", base_url=llama_cpp_server)) as model,
        pytest.raises(ContextLengthError, match="shorten the conversation"),
    ):
        model.complete([{"role": "user", "content": "x" * 70_000}])


def test_tools_and_tool_results_reach_the_chat_template(model: Model) -> None:
    short = Sampling(max_tokens=4)
    plain = model.complete(TOOL_TURNS, sampling=short)
    with_tools = model.complete(TOOL_TURNS, tools=[TOOL], sampling=short)
    assert plain.usage.prompt_tokens
    assert with_tools.usage.prompt_tokens
    assert with_tools.usage.prompt_tokens > plain.usage.prompt_tokens + 50


def test_a_conversation_goes_on(model: Model) -> None:
    short = Sampling(max_tokens=4, temperature=0.0)
    first = model.complete(HELLO, sampling=short)
    second = model.complete(
        [*HELLO, first.as_message(), {"role": "user", "content": "and?"}], sampling=short
    )
    assert second.usage.prompt_tokens
    assert first.usage.prompt_tokens
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_an_unknown_name_is_refused_in_one_sentence(transformers_server: str) -> None:
    with (
        closing(open_model("openai:no-such", base_url=transformers_server)) as model,
        pytest.raises(ModelRequestError, match="requested 'no-such'") as error,
    ):
        model.complete(HELLO)
    assert str(error.value).startswith(transformers_server)
