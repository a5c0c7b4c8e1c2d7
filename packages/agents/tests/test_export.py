import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentbench_agents.budget import Budget, Spend
from agentbench_agents.errors import AgentParameterError
from agentbench_agents.export import FORMATS, export, select
from agentbench_agents.export.conversations import conversations
from agentbench_agents.models import Completion, Message, Sampling, ToolSchema, Usage
from agentbench_agents.recording import RecordedModel
from agentbench_agents.run import RunResult, RunSpec, planned_record, write_json, write_result
from agentbench_agents.trajectory import Trajectory, read_trajectory

DEFAULT = Sampling()
QUESTION: Message = {"role": "user", "content": "task"}
TOOLS: list[ToolSchema] = [
    {
        "type": "function",
        "function": {"name": "x", "description": "act", "parameters": {"type": "object"}},
    }
]


def result(run_id: str, task: str, score: float | None, *, higher: bool = True) -> RunResult:
    return RunResult(
        run_id=run_id,
        task=task,
        task_version="1",
        metric="accuracy",
        higher_is_better=higher,
        agent="a",
        model=None,
        seed=0,
        status="scored" if score is not None else "failed",
        score=score,
        margin=score,
        feedback="public",
        sandbox="null",
        finished="2026-01-01T00:00:00+00:00",
        versions={},
    )


RESULTS = [
    result("a", "digits", 0.8),
    result("b", "digits", 0.9),
    result("c", "digits", None),
    result("d", "diabetes", 60.0, higher=False),
    result("e", "diabetes", 50.0, higher=False),
    result("f", "digits", None).model_copy(update={"status": "infra"}),
]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("all", "abcde"),
        ("scored", "abde"),
        ("best-per-task", "be"),
        ("top-1", "be"),
        ("top-2", "baed"),
        ("score>=0.85", "bde"),
        ("margin<=0.85", "a"),
    ],
)
def test_filters(keep: str, kept: str) -> None:
    assert "".join(r.run_id for r in select(RESULTS, keep)) == kept


@pytest.mark.parametrize("keep", ["best", "top-x", "score>=high", "steps>=3"])
def test_an_unknown_filter_says_what_there_is(keep: str) -> None:
    with pytest.raises(AgentParameterError, match="best-per-task"):
        select(RESULTS, keep)


def sample(path: Path, format_: str) -> list[dict[str, Any]]:
    return list(
        FORMATS[format_](result("r", "digits", 0.9), conversations(list(read_trajectory(path))))
    )


class Echo:
    """A model that answers with token ids: 1, 2, 3 read, 10 + turn written."""

    name = "echo"

    def __init__(self, *, trims: bool = False) -> None:
        self.context: list[int] = []
        self.turn = 0
        self.trims = trims

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = DEFAULT,
    ) -> Completion:
        del tools, sampling
        self.turn += 1
        told = list(range(100 * self.turn, 100 * self.turn + 3))
        self.context = told if self.trims else [*self.context, *told]
        said = [self.turn, 1000 + self.turn]
        prompt, self.context = tuple(self.context), [*self.context, *said]
        return Completion(
            text=f"answer {len(messages)}",
            usage=Usage(prompt_tokens=len(prompt), completion_tokens=2, cost_usd=0.25),
            prompt_token_ids=prompt,
            token_ids=tuple(said),
            logprobs=(-0.5, -0.25 * self.turn),
        )

    def close(self) -> None: ...


def talk(path: Path, *, turns: int, trims: bool = False, tools: bool = False) -> None:
    """A conversation of some turns, each of which takes one action that earns 0.1 · turn."""
    with Trajectory(path) as trajectory:
        spend = Spend(budget=Budget())
        model = RecordedModel(Echo(trims=trims), trajectory=trajectory, spend=spend)
        before = trajectory.append("observation", {"step": 0, "text": "hello"})
        messages: list[Message] = [{"role": "system", "content": "be good"}, QUESTION]
        for turn in range(1, turns + 1):
            said = model.complete(messages, tools=TOOLS if tools else ())
            message = said.as_message()
            number = trajectory.append_messages([*messages, message])
            empty: dict[str, Any] = {}
            action = {"step": turn, "action": "x", "params": empty, "message": number}
            before = trajectory.append("action", action, parent=before)
            before = trajectory.append("score", {"step": turn}, parent=before)
            told = {"step": turn, "text": f"told {turn}", "reward": 0.1 * turn, "status": "ok"}
            before = trajectory.append("observation", told, parent=before)
            answer: Message = {"role": "user", "content": f"told {turn}"}
            messages = [*messages, message, answer]


def test_each_branch_is_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        for answer in ("first", "second"):
            reply = {"role": "assistant", "content": answer}
            trajectory.append_messages([QUESTION, reply], data={"wall_s": 1.0})
    rows = sample(path, "messages")
    assert [r["messages"] for r in rows] == [
        [QUESTION, {"role": "assistant", "content": "first"}],
        [QUESTION, {"role": "assistant", "content": "second"}],
    ]
    first, second = sample(path, "atif")
    assert "is_copied_context" not in first["steps"][0]
    assert second["steps"][0]["is_copied_context"]
    assert "is_copied_context" not in second["steps"][1]


def test_the_same_words_said_twice_are_two_events(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        for _ in range(2):
            reply = {"role": "assistant", "content": "same"}
            trajectory.append_messages([QUESTION, reply], data={"wall_s": 1.0})
    assert [e["id"] for e in read_trajectory(path)] == [1, 2, 3]


def test_an_agent_without_a_model_becomes_a_conversation_with_tool_calls(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        at = trajectory.append("note", {"actions": TOOLS})
        at = trajectory.append("observation", {"step": 0, "text": "hello"}, parent=at)
        action = {"step": 1, "action": "execute_code", "params": {"code": "x"}}
        at = trajectory.append("action", action, parent=at)
        told = {"step": 1, "text": "done", "reward": 0.5, "status": "ok"}
        trajectory.append("observation", told, parent=at)
    (row,) = sample(path, "messages")
    roles = [m["role"] for m in row["messages"]]
    assert roles == ["user", "assistant", "tool"]
    call = row["messages"][1]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"code": "x"}
    assert row["messages"][2]["tool_call_id"] == call["id"]
    assert json.loads(row["tools"]) == TOOLS
    assert row["reward"] == 0.5
    (document,) = sample(path, "atif")
    said = document["steps"][1]
    assert said["llm_call_count"] == 0
    assert said["extra"] == {"reward": 0.5}
    assert said["tool_calls"][0]["arguments"] == {"code": "x"}
    assert said["observation"]["results"][0]["content"] == "done"
    assert sample(path, "rows") == []


def test_branches_of_an_environment_without_a_model_share_their_beginning(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        root = trajectory.append("observation", {"step": 0, "text": "hello"})
        for code in ("a", "b"):
            action = {"step": 1, "action": "execute_code", "params": {"code": code}}
            at = trajectory.append("action", action, parent=root)
            told = {"step": 1, "text": code, "reward": 0.5, "status": "ok"}
            trajectory.append("observation", told, parent=at)
    assert [r["messages"][2]["content"] for r in sample(path, "messages")] == ["a", "b"]
    assert [r["messages"][0]["content"] for r in sample(path, "messages")] == ["hello", "hello"]


def test_a_talk_that_only_grows_is_one_row_of_tokens(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    talk(path, turns=2)
    (row,) = sample(path, "rows")
    assert row["input_ids"] == [100, 101, 102, 1, 1001, 200, 201, 202, 2, 1002]
    assert row["assistant_masks"] == [0, 0, 0, 1, 1, 0, 0, 0, 1, 1]
    assert row["logprobs"] == [None, None, None, -0.5, -0.25, None, None, None, -0.5, -0.5]
    assert row["rewards"] == [0, 0, 0, 0, 0.1, 0, 0, 0, 0, 0.2]
    assert row["reward"] == pytest.approx(0.3)


def test_a_trimmed_context_begins_a_new_row(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    talk(path, turns=2, trims=True)
    rows = sample(path, "rows")
    assert [r["input_ids"] for r in rows] == [[100, 101, 102, 1, 1001], [200, 201, 202, 2, 1002]]
    assert [r["reward"] for r in rows] == [0.1, 0.2]


def test_token_ids_cost_the_same_bytes_in_every_turn(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    turns = 60
    talk(path, turns=turns)
    said = [e for e in read_trajectory(path) if e.get("role") == "assistant"]
    assert [len(e["prompt_token_ids"]) for e in said] == [3] * turns
    (row,) = sample(path, "rows")
    assert len(row["input_ids"]) == turns * 5


def test_a_talk_may_be_longer_than_python_recurses(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    turns = sys.getrecursionlimit() + 10
    with Trajectory(path) as trajectory:
        at = trajectory.append("message", {"role": "user", "content": "go"})
        before: int | None = None
        for turn in range(turns):
            known = {} if before is None else {"prompt_continues": before}
            tokens = {"prompt_token_ids": [1], "token_ids": [2], "logprobs": [-1.0]}
            data = {"role": "assistant", "content": str(turn), **tokens, **known}
            before = at = trajectory.append("message", data, parent=at)
    (row,) = sample(path, "rows")
    assert row["input_ids"] == [1, 2] * turns


def test_tools_are_recorded_once_and_exported_as_offered(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    talk(path, turns=3, tools=True)
    notes = [e for e in read_trajectory(path) if e["type"] == "note"]
    assert [n["tools"] for n in notes] == [TOOLS]
    (row,) = sample(path, "messages")
    assert json.loads(row["tools"]) == TOOLS
    (document,) = sample(path, "atif")
    assert document["agent"]["tool_definitions"] == TOOLS
    talk(tmp_path / "without.jsonl", turns=3)
    assert json.loads(sample(tmp_path / "without.jsonl", "messages")[0]["tools"]) == []


def test_an_atif_document_adds_up_what_the_run_used(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    talk(path, turns=2)
    (document,) = sample(path, "atif")
    assert document["schema_version"] == "ATIF-v1.8"
    assert document["final_metrics"] == {
        "total_steps": 5,
        "total_prompt_tokens": 3 + 8,
        "total_completion_tokens": 4,
        "total_cost_usd": 0.5,
    }
    said = [s for s in document["steps"] if s["source"] == "agent"]
    assert said[1]["metrics"]["prompt_token_ids"] == [100, 101, 102, 1, 1001, 200, 201, 202]
    assert said[1]["extra"] == {"reward": 0.2}


def test_arguments_that_are_no_json_are_kept_as_written(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{oops"}}
    reply = {"role": "assistant", "content": "", "tool_calls": [call]}
    with Trajectory(path) as trajectory:
        trajectory.append_messages([QUESTION, reply], data={"wall_s": 1.0})
    (document,) = sample(path, "atif")
    (shown,) = document["steps"][1]["tool_calls"]
    assert (shown["arguments"], shown["extra"]) == ({}, {"unparsed_arguments": "{oops"})


def finished_run(directory: Path, run_id: str) -> Path:
    run = directory / run_id
    run.mkdir()
    spec = RunSpec(task="digits", seed=ord(run_id))
    write_json(run / "run.json", planned_record(spec))
    write_result(run, result(run_id, "digits", 0.9))
    return run / "trajectory.jsonl"


def test_equal_samples_of_two_runs_are_exported_once(tmp_path: Path) -> None:
    for run_id in ("a", "b"):
        talk(finished_run(tmp_path, run_id), turns=1)
    assert len(list(export(tmp_path))) == 1


def test_rows_without_token_ids_say_what_to_run(tmp_path: Path) -> None:
    with Trajectory(finished_run(tmp_path, "a")) as trajectory:
        trajectory.append_messages([QUESTION, {"role": "assistant", "content": "x"}])
    with pytest.raises(AgentParameterError, match="transformers:PATH"):
        list(export(tmp_path, format_="rows"))
