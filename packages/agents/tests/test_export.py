import json
from pathlib import Path

import pytest

from agentbench_agents.errors import AgentParameterError
from agentbench_agents.export import messages, select, steps
from agentbench_agents.run import RunResult
from agentbench_agents.trajectory import Trajectory, read_trajectory

QUESTION = {"role": "user", "content": "task"}


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


def test_each_branch_is_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        for answer in ("first", "second"):
            reply = {"role": "assistant", "content": answer}
            trajectory.append_messages([QUESTION, reply], data={"wall_s": 1.0})
    rows = list(messages(list(read_trajectory(path))))
    assert [r["messages"] for r in rows] == [
        [QUESTION, {"role": "assistant", "content": "first"}],
        [QUESTION, {"role": "assistant", "content": "second"}],
    ]
    assert rows[0]["tools"][0]["function"]["name"] == "request_info"


def test_an_agent_without_a_model_becomes_a_conversation_with_tool_calls(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        trajectory.append("observation", {"step": 0, "text": "hello"})
        trajectory.append("action", {"step": 1, "action": "execute_code", "params": {"code": "x"}})
        trajectory.append("observation", {"step": 1, "text": "done", "reward": 0.5, "status": "ok"})
    events = list(read_trajectory(path))
    (row,) = messages(events)
    roles = [m["role"] for m in row["messages"]]
    assert roles == ["user", "assistant", "tool"]
    call = row["messages"][1]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"code": "x"}
    assert row["messages"][2]["tool_call_id"] == call["id"]
    (step,) = steps(events)
    assert (step["observation"], step["next_observation"]) == ("hello", "done")
    assert (step["reward"], step["last"]) == (0.5, True)
