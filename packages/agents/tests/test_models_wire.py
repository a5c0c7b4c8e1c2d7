"""From bytes to completions and from conversations to requests."""

import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.models import Completion, Message, ToolCall, Usage, chat_completion
from agentbench_agents.models import messages_api as anthropic
from agentbench_agents.models.http import (
    NotACompletionError,
    StreamCutError,
    StreamFailedError,
    event_data,
    within,
)
from agentbench_agents.models.prices import with_cost
from agentbench_agents.models.secrets import environment_secrets, redact, redact_json
from agentbench_agents.models.tokens import estimate_tokens


def whole(message: dict[str, Any], **more: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop"} | more
    return json.dumps({"choices": [choice]}).encode()


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            whole({"content": "hi", "role": "assistant", "annotations": []}),
            Completion(text="hi", finish_reason="stop"),
            id="plain",
        ),
        pytest.param(
            whole({"content": None, "tool_calls": [CALL]}, finish_reason="tool_calls"),
            Completion(
                text="",
                tool_calls=(ToolCall(id="c1", name="f", arguments='{"a": 1}'),),
                finish_reason="tool_calls",
            ),
            id="a call",
        ),
        pytest.param(
            whole(
                {
                    "content": "",
                    "tool_calls": [
                        {"function": {"name": "f", "arguments": {"a": 1}}},
                        {"function": {"name": "g", "arguments": None}},
                    ],
                }
            ),
            Completion(
                text="",
                tool_calls=(
                    ToolCall(id="call_0", name="f", arguments='{"a": 1}'),
                    ToolCall(id="call_1", name="g", arguments=""),
                ),
                finish_reason="stop",
            ),
            id="calls as objects and without ids",
        ),
        pytest.param(
            whole({"content": None, "refusal": "I will not"}),
            Completion(text="I will not", finish_reason="stop"),
            id="a refusal",
        ),
        pytest.param(
            whole({"content": "x", "reasoning_content": "since"}, finish_reason=None),
            Completion(text="x", reasoning="since"),
            id="reasoning",
        ),
        pytest.param(
            whole(
                {"content": "ab"},
                logprobs={"content": [{"token": "a", "logprob": -1.5}, {"logprob": 0}]},
                token_ids=[5, 6],
            ),
            Completion(text="ab", finish_reason="stop", logprobs=(-1.5, 0.0), token_ids=(5, 6)),
            id="log-probabilities",
        ),
        pytest.param(
            b'{"choices": [{"message": {"content": "x"}}], "prompt_token_ids": [1],'
            b'"usage": {"prompt_tokens": 9, "completion_tokens": 1,'
            b'"prompt_tokens_details": {"cached_tokens": 4}}}',
            Completion(
                text="x",
                usage=Usage(prompt_tokens=9, completion_tokens=1, cached_tokens=4),
                prompt_token_ids=(1,),
            ),
            id="usage",
        ),
    ],
)
def test_a_whole_answer_is_read(body: bytes, expected: Completion) -> None:
    assert chat_completion.parse(body) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "EOF"),
        (b"<html>", "Invalid JSON"),
        (b'{"error": "no"}', "choices: Field required"),
        (b'{"choices": []}', "choices: List should have at least 1"),
        (b'{"choices": [{}]}', r"choices\.0\.message: Field required"),
        (b'{"choices": [{"message": {"content": 3}}]}', "valid string"),
        (
            b'{"choices":[{"message":{}}],"usage":{"prompt_tokens":-1}}',
            "greater than or equal to 0",
        ),
        (b"\xff\xfe", "Invalid JSON"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_garbage_is_named(body: bytes, why: str) -> None:
    with pytest.raises(NotACompletionError, match=why) as error:
        chat_completion.parse(body)
    assert error.value.raw == body


def chunk(delta: dict[str, Any], **more: object) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, **more}]}).encode()


def test_a_streams_pieces_are_put_together() -> None:
    def call(**fields: object) -> dict[str, Any]:
        return {"tool_calls": [fields]}

    events = [
        chunk({"role": "assistant", "reasoning": "be"}),
        chunk({"reasoning": "cause", "content": None}),
        chunk({"content": "He"}, logprobs={"content": [{"logprob": -1}]}, token_ids=[1]),
        chunk({"content": "llo"}, logprobs={"content": [{"logprob": -2}]}, token_ids=[2, 3]),
        chunk(call(index=0, id="a", function={"name": "f", "arguments": '{"x"'})),
        chunk(call(index=1, id="b", function={"name": "g", "arguments": ""})),
        chunk(call(index=0, function={"name": None, "arguments": ": 1}"})),
        chunk(call(index=1, function={"arguments": "{}"})),
        chunk({}, finish_reason="tool_calls"),
        b'{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}',
        b"[DONE]",
        b"never read",
    ]
    assert chat_completion.parse_stream(events) == Completion(
        text="Hello",
        reasoning="because",
        tool_calls=(
            ToolCall(id="a", name="f", arguments='{"x": 1}'),
            ToolCall(id="b", name="g", arguments="{}"),
        ),
        usage=Usage(prompt_tokens=7, completion_tokens=5),
        logprobs=(-1.0, -2.0),
        token_ids=(1, 2, 3),
        finish_reason="tool_calls",
    )


def test_whole_calls_in_a_stream_without_index_stay_apart() -> None:
    calls = [{"id": n, "function": {"name": n, "arguments": "{}"}} for n in "ab"]
    found = chat_completion.parse_stream(
        [chunk({"tool_calls": [c]}) for c in calls] + [chunk({}, finish_reason="tool_calls")]
    )
    assert [(call.id, call.name, call.arguments) for call in found.tool_calls] == [
        ("a", "a", "{}"),
        ("b", "b", "{}"),
    ]


@given(text=st.text(max_size=40), cuts=st.lists(st.integers(0, 4000), max_size=12))
def test_a_stream_may_be_cut_anywhere_into_packets(text: str, cuts: list[int]) -> None:
    events = [chunk({"content": c}) for c in text] + [chunk({}, finish_reason="stop"), b"[DONE]"]
    body = b"".join(b": comment\r\ndata: " + event + b"\r\n\r\n" for event in events)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    packets = [body[a:b] for a, b in itertools.pairwise(edges)]
    assert chat_completion.parse_stream(event_data(packets)).text == text


@pytest.mark.parametrize("parse", [chat_completion.parse_stream, anthropic.parse_stream])
@pytest.mark.parametrize("events", [[], [b"[DONE]"]], ids=["nothing", "only the end"])
def test_an_empty_stream_is_no_answer(
    parse: Callable[[list[bytes]], Completion], events: list[bytes]
) -> None:
    with pytest.raises((StreamCutError, NotACompletionError)):
        parse(events)


def test_json_nested_too_deep_is_garbage() -> None:
    body = b'{"choices": ' + b"[" * 100_000
    with pytest.raises(NotACompletionError, match="recursion limit"):
        chat_completion.parse(body)


def test_too_large_an_answer_is_refused() -> None:
    with pytest.raises(NotACompletionError, match="more than 64 MiB"):
        list(within(float("inf"), [b"x" * 2**20] * 65))


CONVERSATION: list[Message] = [
    {"role": "system", "content": "A"},
    {"role": "system", "content": "B"},
    {"role": "user", "content": "go"},
    {
        "role": "assistant",
        "content": " ",
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
            {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{oops"}},
            {"id": "3", "type": "function", "function": {"name": "f", "arguments": "[1]"}},
        ],
    },
    {"role": "tool", "content": "one", "tool_call_id": "1"},
    {"role": "tool", "content": "", "tool_call_id": "2"},
    {"role": "tool", "content": "three", "tool_call_id": "3"},
    {"role": "user", "content": "and?"},
    {"role": "assistant", "content": ""},
    {"role": "system", "content": "late"},
]


def test_a_conversation_becomes_anthropics_turns() -> None:
    system, turns = anthropic.to_turns(CONVERSATION)
    assert system == "A\n\nB"
    assert turns == [
        {"role": "user", "content": [{"type": "text", "text": "go"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "2", "name": "f", "input": {"arguments": "{oops"}},
                {"type": "tool_use", "id": "3", "name": "f", "input": {"arguments": "[1]"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "2", "content": "(empty)"},
                {"type": "tool_result", "tool_use_id": "3", "content": "three"},
                {"type": "text", "text": "and?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "(empty)"}]},
        {"role": "user", "content": [{"type": "text", "text": "late"}]},
    ]


def events(*found: dict[str, Any]) -> list[bytes]:
    return [json.dumps(event).encode() for event in found]


def test_anthropics_events_are_put_together() -> None:
    answer = anthropic.parse_stream(
        events(
            {
                "type": "message_start",
                "message": {
                    "usage": {
                        "input_tokens": 10,
                        "cache_read_input_tokens": 5,
                        "cache_creation_input_tokens": 2,
                        "output_tokens": 1,
                    }
                },
            },
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
            {"type": "content_block_delta", "index": 0, "delta": {"thinking": "hm"}},
            {"type": "content_block_delta", "index": 0, "delta": {"signature": "xyz"}},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text"}},
            {"type": "content_block_delta", "index": 1, "delta": {"text": "Go"}},
            {
                "type": "content_block_start",
                "index": 2,
                "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            },
            {"type": "content_block_delta", "index": 2, "delta": {"partial_json": '{"a"'}},
            {"type": "content_block_delta", "index": 2, "delta": {"partial_json": ": 1}"}},
            {
                "type": "content_block_start",
                "index": 3,
                "content_block": {"type": "tool_use", "id": "u", "name": "g", "input": {}},
            },
            {"type": "content_block_stop", "index": 3},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use"},
                "usage": {"output_tokens": 42},
            },
            {"type": "message_stop"},
        )
    )
    assert answer == Completion(
        text="Go",
        reasoning="hm",
        tool_calls=(
            ToolCall(id="t", name="f", arguments='{"a": 1}'),
            ToolCall(id="u", name="g", arguments="{}"),
        ),
        usage=Usage(prompt_tokens=17, completion_tokens=42, cached_tokens=5),
        finish_reason="tool_calls",
    )


@pytest.mark.parametrize(
    ("kind", "status"),
    [("overloaded_error", 529), ("rate_limit_error", 429), ("api_error", 500), ("new", 500)],
)
def test_an_error_inside_anthropics_stream_has_a_status(kind: str, status: int) -> None:
    with pytest.raises(StreamFailedError, match="why") as error:
        anthropic.parse_stream(events({"type": "error", "error": {"type": kind, "message": "why"}}))
    assert error.value.status == status


@pytest.mark.parametrize(
    ("model", "url", "cost"),
    [
        # gpt-4o: 2.50 $ and 10 $ a million tokens, cached input 1.25 $.
        ("gpt-4o", "https://api.openai.com/v1", 1e-6 * (600 * 2.5 + 400 * 1.25 + 100 * 10)),
        ("gpt-4o", "http://localhost:8000/v1", None),
        ("claude-sonnet-4-5", "https://api.anthropic.com", 1e-6 * (600 * 3 + 400 * 0.3 + 100 * 15)),
        ("no-such-model", "https://api.openai.com/v1", None),
        ("", "https://api.openai.com/v1", None),
    ],
    ids=["OpenAI", "Anthropic", "local server", "unknown model", "no name"],
)
def test_costs_are_known_or_none(model: str, url: str, cost: float | None) -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=400)
    found = with_cost(usage, model=model, url=url).cost_usd
    assert found == (None if cost is None else pytest.approx(cost))


def test_unknown_usage_costs_none() -> None:
    url = "https://api.openai.com/v1"
    assert with_cost(Usage(), model="gpt-4o", url=url) == Usage()


def test_counting_and_pricing_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert estimate_tokens(CONVERSATION) > 0
    used = Usage(prompt_tokens=1, completion_tokens=1)
    assert with_cost(used, model="gpt-4o", url="https://api.openai.com/v1").cost_usd is not None


ENVIRON = {
    "OPENAI_API_KEY": "abcdefgh-key",
    "HF_TOKEN": "abcdefgh-key-longer",
    "DB_PASSWORD": "hunter2hunter2",
    "AWS_ACCESS_KEY_ID": "AKIAABCDEFGHIJKLMNOP",
    "SHORT_KEY": "abc",
    "KEYBOARD": "qwertyuiop",
    "PATH": "/usr/bin",
}


def test_secrets_are_found_by_the_names_of_variables() -> None:
    assert environment_secrets(ENVIRON) == (
        "AKIAABCDEFGHIJKLMNOP",
        "abcdefgh-key-longer",
        "hunter2hunter2",
        "abcdefgh-key",
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a abcdefgh-key-longer b", "a [secret] b"),
        ("abcdefgh-keyhunter2hunter2", "[secret][secret]"),
        ("sk-" + "a" * 24, "[secret]"),
        ("task-" + "a" * 24, "task-" + "a" * 24),
        ("hf_" + "A" * 30 + ".", "[secret]."),
        ("https://user:pw@host/x", "https://host/x"),
        ("mail me@example.org", "mail me@example.org"),
        ("u = 'http://localhost'\n@app.get", "u = 'http://localhost'\n@app.get"),
        (r'{"code": "u = \"http://localhost\"\n@app.get"}',) * 2,
        (r'{"code": "a://b\n@c", "d": "e@f"}',) * 2,
        (r'{"out": "\nsk-' + "a" * 24 + '"}', r'{"out": "\n[secret]"}'),
        ("nothing", "nothing"),
    ],
    ids=[
        "variable",
        "two",
        "shape",
        "a word",
        "token",
        "URL",
        "mail",
        "decorator",
        "its JSON",
        "JSON",
        "line",
        "none",
    ],
)
def test_secrets_are_blanked(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert redact(text) == shown


def test_secrets_in_json_values_leave_the_rest_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"A_KEY": '"quoted\\ü"', "B_KEY": "12345678", "C_KEY": "arguments"}.items():
        monkeypatch.setenv(name, value)
    value: dict[str, Any] = {
        "n": 12345678,
        "arguments": '{"code": ' + json.dumps('x = "quoted\\ü"') + "}",
        "list": ["a://b", "c@d", '"quoted\\ü"', None, 1.5],
    }
    assert redact_json(value) == {
        "n": 12345678,
        "arguments": '{"code": "x = [secret]"}',
        "list": ["a://b", "c@d", "[secret]", None, 1.5],
    }
