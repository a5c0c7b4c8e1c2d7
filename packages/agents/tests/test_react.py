"""ReAct with native tools and with fenced code, in a real environment."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentbench_agents import Budget, TaskEnv
from agentbench_agents.agents.react import React
from agentbench_agents.models import Completion, Message, ToolCall
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.recording import RecordedModel
from agentbench_agents.trajectory import Trajectory, read_trajectory

SUBMIT = '```json\n{"action": "submit"}\n```'
CODE = "import shutil\nshutil.copy('input/sample_submission.csv', 'submission.csv')\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[TaskEnv, list[Any]]]]:
    made: list[TaskEnv] = []

    def start(agent: React, script: Any, steps: int = 15) -> tuple[TaskEnv, list[Any]]:  # noqa: ANN401
        path = tmp_path / "trajectory.jsonl"
        with Trajectory(path) as trajectory:
            env = TaskEnv(
                "wine",
                data_root=data,
                sandbox="local",
                budget=Budget(steps=steps),
                directory=tmp_path,
                trajectory=trajectory,
            )
            made.append(env)
            env.reset(seed=0)
            model = RecordedModel(ScriptedModel(script), trajectory=trajectory, spend=env.spend)
            agent.run(env, model)
        return env, list(read_trajectory(path))

    yield start
    for env in made:
        env.close()


def call(name: str, number: int = 1, **params: object) -> ToolCall:
    return ToolCall(id=f"call_{number}", name=name, arguments=json.dumps(params))


def texts(events: list[Any]) -> list[str]:
    return [e["text"] for e in events if e["type"] == "observation"]


def test_fenced_code_is_run_and_json_is_any_action(run: Callable[..., Any]) -> None:
    script = ["I look.\n```python\nprint(6 * 7)\n```", f"```python\n{CODE}```\n{SUBMIT}"]
    env, events = run(React(tools=False), script)
    assert env.over
    assert env.episode.final_submission().number == 1
    assert "42" in texts(events)[1]
    system = next(e for e in events if e.get("role") == "system")["content"]
    assert "execute_code takes {code: string}" in system
    assert "You have 15 steps" in system


def test_native_tools_are_called_and_each_call_is_answered(run: Callable[..., Any]) -> None:
    seen: list[Sequence[Message]] = []
    answers = iter(
        [
            Completion(
                text="I read.",
                tool_calls=(
                    call("request_info", 1, info_type="name"),
                    call("execute_code", 2, code=CODE),
                ),
            ),
            Completion(text="", tool_calls=(call("submit", 3), call("get_history", 4))),
        ]
    )

    def script(messages: Sequence[Message]) -> Completion:
        seen.append(list(messages))
        return next(answers)

    env, events = run(React(), script)
    assert env.over
    answered = [m for m in seen[1] if m["role"] == "tool"]
    assert [m.get("tool_call_id") for m in answered] == ["call_1", "call_2"]
    assert answered[0]["content"].startswith("wine")
    assert "Submission 1: accuracy" in answered[1]["content"]
    assert sum(e["type"] == "action" for e in events) == 3  # what came after submit was not done


@pytest.mark.parametrize("arguments", ["{", "[]", '{"code": 3}', ""])
def test_wrong_arguments_are_told(run: Callable[..., Any], arguments: str) -> None:
    wrong = ToolCall(id="a", name="execute_code", arguments=arguments)
    answers = [Completion(text="", tool_calls=(wrong,)), *["I am done."] * 4]
    _, events = run(React(), answers)
    assert "execute_code" in texts(events)[1]
    assert "Invalid action" in texts(events)[1]


def test_a_model_that_stops_acting_ends_the_run(run: Callable[..., Any]) -> None:
    env, events = run(React(tools=False, repairs=2), ["No.", SUBMIT, "No.", "No.", "No."])
    assert not env.over
    assert env.spend.steps == 1
    assert "3 answers in a row" in str(events[-1])
    nudges = [e for e in events if "no action" in str(e.get("content"))]
    assert len(nudges) == 3  # nobody reads one after the last answer
