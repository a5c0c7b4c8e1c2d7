"""Compaction: nothing is changed in place, calls keep their outputs, and the result fits."""

import copy
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.models import Completion, ContextLengthError, Message, ToolCallDict, Usage
from agentbench_agents.models.context import drop_tool_outputs, fit, trim_output
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.models.tokens import estimate_tokens
from agentbench_agents.trajectory import Trajectory, read_trajectory


def conversation(turns: int, *, size: int) -> list[Message]:
    messages: list[Message] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "the task"},
    ]
    for n in range(turns):
        call: ToolCallDict = {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": "run", "arguments": f'{{"n": {n}}}'},
        }
        messages.append({"role": "assistant", "content": f"thought {n}", "tool_calls": [call]})
        messages.append({"role": "tool", "content": f"{n}" * size, "tool_call_id": f"c{n}"})
    return messages


def summariser(text: str = "SUMMARY") -> tuple[ScriptedModel, list[list[Message]]]:
    asked: list[list[Message]] = []

    def answer(messages: Sequence[Message]) -> Completion:
        asked.append(list(messages))
        return Completion(text=text, usage=Usage(prompt_tokens=5, completion_tokens=1))

    return ScriptedModel(answer), asked


def test_what_fits_is_left_alone() -> None:
    model, asked = summariser()
    messages = conversation(3, size=100)
    found = fit(messages, model=model, window=10_000)
    assert list(found.messages) == messages
    assert (found.shared, found.measures, found.summary) == (len(messages), (), None)
    assert asked == []


def test_old_outputs_go_first_and_the_branch_begins_at_the_first_of_them() -> None:
    model, asked = summariser()
    messages = conversation(10, size=400)
    before = copy.deepcopy(messages)
    found = fit(messages, model=model, window=1000)
    assert messages == before
    assert asked == []
    assert found.measures == ("drop tool outputs",)
    assert found.shared == 3  # system, user and the first call are shared; its output is not
    outputs = [m["content"] for m in found.messages if m["role"] == "tool"]
    assert [output.startswith("[output dropped") for output in outputs] == [True] * 7 + [False] * 3
    assert found.tokens_after <= 900 < found.tokens_before


def test_then_the_model_summarises() -> None:
    model, asked = summariser()
    messages = conversation(40, size=100)
    found = fit(messages, model=model, window=1000)
    assert found.measures == ("drop tool outputs", "summarise")
    assert found.shared == 2
    assert found.messages[:2] == tuple(messages[:2])
    assert found.messages[2]["content"].endswith("SUMMARY")
    assert found.messages[3:] == tuple(messages[-4:])
    assert found.summary is not None
    assert found.summary.usage.prompt_tokens == 5
    assert len(asked) == 1
    request = asked[0]
    assert [m["role"] for m in request] == ["system", "user"]
    assert "the task" in request[1]["content"]
    assert 'run({"n": 0})' in request[1]["content"]
    assert request[1]["content"].rstrip().endswith("Answer with the summary alone.")
    assert estimate_tokens(request) <= 900


def test_a_trajectory_branches_where_the_compaction_begins(tmp_path: Path) -> None:
    model, _ = summariser()
    messages = conversation(40, size=100)
    found = fit(messages, model=model, window=1000)
    with Trajectory(tmp_path / "t.jsonl") as trajectory:
        trajectory.append_messages(messages)
        trajectory.append_messages(found.messages)
    events = list(read_trajectory(tmp_path / "t.jsonl"))
    assert len(events) == len(messages) + len(found.messages) - found.shared  # originals are kept
    first_new = events[len(messages)]
    assert first_new["content"].endswith("SUMMARY")
    assert first_new["parent"] == events[found.shared - 1]["id"]


def test_room_for_the_answer_is_kept_free_and_a_true_count_scales_the_estimate() -> None:
    model, _ = summariser()
    messages = conversation(3, size=400)
    tokens = estimate_tokens(messages)
    window = int(tokens / 0.9) + 10
    assert fit(messages, model=model, window=window).measures == ()
    assert fit(messages, model=model, window=window, reserve=50, keep_outputs=1).measures
    assert fit(messages, model=model, window=window, scale=1.2, keep_outputs=1).measures


def test_what_cannot_fit_is_an_error() -> None:
    model, _ = summariser()
    messages: list[Message] = [{"role": "user", "content": "x" * 40_000}, *conversation(2, size=9)]
    with pytest.raises(ContextLengthError, match="even after a summary"):
        fit(messages, model=model, window=1000)


def test_a_huge_last_output_is_summarised_with_the_rest() -> None:
    model, asked = summariser()
    messages = conversation(2, size=20_000)
    found = fit(messages, model=model, window=1000)
    assert found.tokens_after <= 900
    assert found.messages[-1]["content"].endswith("SUMMARY")
    assert estimate_tokens(asked[0]) <= 900


@given(
    turns=st.integers(0, 12),
    size=st.integers(0, 3000),
    window=st.integers(800, 4000),
    keep_last=st.integers(0, 8),
)
def test_the_result_fits_and_calls_keep_their_outputs(
    turns: int, size: int, window: int, keep_last: int
) -> None:
    model, _ = summariser()
    messages = conversation(turns, size=size)
    found = fit(messages, model=model, window=window, keep_last=keep_last)
    assert found.tokens_after <= window * 0.9
    assert list(found.messages[: found.shared]) == messages[: found.shared]
    for before, after in itertools.pairwise(found.messages):
        if after["role"] == "tool":
            assert before["role"] == "assistant"
            assert [c["id"] for c in before.get("tool_calls", ())] == [after.get("tool_call_id")]
        if "tool_calls" in before:
            assert after["role"] == "tool"


@given(st.text(max_size=300), st.integers(0, 200))
def test_trimming_keeps_head_and_tail(text: str, limit: int) -> None:
    cut = trim_output(text, limit)
    if len(text) <= limit:
        assert cut == text
    else:
        head, note, tail = cut.partition(f"\n[... {len(text) - limit} characters cut ...]\n")
        assert note
        assert len(head) + len(tail) == limit
        assert text.startswith(head)
        assert text.endswith(tail)


def test_dropping_keeps_short_outputs_and_all_messages() -> None:
    messages = conversation(5, size=400)
    messages[3]["content"] = "ok"
    dropped = drop_tool_outputs(messages, keep=1)
    assert [m["role"] for m in dropped] == [m["role"] for m in messages]
    assert dropped[3]["content"] == "ok"
    assert dropped[5]["content"].startswith("[output dropped")
    assert dropped[-1]["content"] == messages[-1]["content"]


@pytest.mark.parametrize(
    ("content", "tokens"),
    [("", 4), ("abcd", 5), ("abcde", 6), ("é" * 4, 6), ("\ud800", 5)],
    ids=["empty", "four", "five", "two bytes each", "lone surrogate"],
)
def test_tokens_are_estimated_from_bytes(content: str, tokens: int) -> None:
    assert estimate_tokens([{"role": "user", "content": content}]) == tokens
