import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentbench_agents import AgentParameterError, TaskEnv
from agentbench_agents.agents.idea import IdeaAgent
from agentbench_agents.agents.mlab import (
    ACTIONS,
    FIELDS,
    MLABAgent,
    ResponseError,
    parse_response,
    tool_name,
    tool_schemas,
)
from agentbench_agents.models import Completion, Message, ToolCall
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.trajectory import Trajectory, read_trajectory
from agentbench_tasks.research_tasks.rainfall import lite as rainfall

TASK = "rainfall-nowcasting-lite"


def turn(action: str, **arguments: Any) -> str:  # noqa: ANN401
    values = ["none", "1. look", "nothing yet", "look", action, json.dumps(arguments)]
    return "\n".join(f"{name}: {value}" for name, value in zip(FIELDS, values, strict=True))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rainfall, "SCENES", {"train": 30, "dev": 30, "test": 30})
        folder = tmp_path_factory.mktemp("data")
        TaskEnv(TASK, data_root=folder, sandbox="local").close()
        return folder


@pytest.fixture
def env(data: Path, tmp_path: Path) -> Iterator[TaskEnv]:
    with Trajectory(tmp_path / "trajectory.jsonl") as trajectory:
        made = TaskEnv(TASK, data_root=data, sandbox="local", trajectory=trajectory)
        made.reset(seed=0)
        yield made
        made.close()


def test_a_turn_is_read() -> None:
    found = parse_response(turn("Write File", file_name="a.py", content="x: 1\nAction plan"))
    assert found.action == "Write File"
    assert found.arguments["content"] == "x: 1\nAction plan"
    assert found.fields["Fact Check"] == "nothing yet"


def test_a_turn_in_markdown_is_read() -> None:
    text = turn("List Files", dir_path=".").replace("Action:", "**Action**:")
    text = text.replace('{"dir_path": "."}', '```json\n{"dir_path": "."}\n```')
    assert parse_response(text).arguments == {"dir_path": "."}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the fields"),
        (turn("List Files", dir_path=".").replace("Thought:", "Idea:"), "expected the fields"),
        (turn("Fly"), "unknown action 'Fly'"),
        (turn("List Files"), "has the entries dir_path"),
        (turn("List Files", dir_path=".", more=1), "has the entries dir_path"),
        (turn("List Files", dir_path=".")[:-1], "no JSON object"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(ResponseError, match=message):
        parse_response(text)


def test_tools_are_the_same_actions() -> None:
    names = [tool["function"]["name"] for tool in tool_schemas()]
    assert len(set(names)) == len(ACTIONS)
    assert "edit_script_ai" in names


def test_a_whole_run(env: TaskEnv) -> None:
    asked: list[Sequence[Message]] = []
    answers = iter(
        [
            "I think I will look around.",
            turn("List Files", dir_path="methods"),
            turn("Write File", file_name="methods/mine.py", content="VALUE = 1\n"),
            turn("Append File", file_name="methods/mine.py", content="VALUE += 1\n"),
            turn("Copy File", source="methods/mine.py", destination="methods/copy.py"),
            turn(
                "Edit Script (AI)",
                script_name="methods/mine.py",
                edit_instruction="make it 7",
                save_name="methods/mine.py",
            ),
            "```python\nVALUE = 7\nprint(VALUE)\n```",
            turn("Execute Script", script_name="methods/mine.py"),
            turn("Undo Edit Script", script_name="methods/mine.py"),
            turn("Undo Edit Script", script_name="methods/mine.py"),
            turn(
                "Inspect Script Lines",
                script_name="methods/mine.py",
                start_line_number=2,
                end_line_number=2,
            ),
            turn("Understand File", file_name="README.md", things_to_look_for="metric"),
            "The metric is CSI.",
            turn("Append to Research Log", content="CSI matters"),
            turn("Retrieval from Research Log", current_plan="improve CSI"),
            "CSI matters.",
            turn("Evaluate Method", method_name="baseline"),
            turn("Final Answer", final_solution="the baseline"),
        ]
    )

    def script(messages: Sequence[Message]) -> str:
        asked.append(list(messages))
        return next(answers)

    MLABAgent().run(env, ScriptedModel(script))
    assert env.over
    assert next(answers, None) is None
    seen = [m["content"] for messages in asked for m in messages if m["role"] == "user"]
    for expected in (
        "was not read: expected the fields",
        "\n7",
        "no edit of methods/mine.py to undo",
        "methods/mine.py, lines 2 to 2 of 2:\n2\tVALUE += 1",
        "Observation:\nThe metric is CSI.",
        "Research log:\n- CSI matters",
        "mean_csi",
    ):
        assert any(expected in text for text in seen), expected
    assert max(len(messages) for messages in asked) <= 2 + 2 * 3 + 2


def test_native_tools(env: TaskEnv) -> None:
    calls = iter(
        [("list_files", {"dir_path": "."}), ("evaluate_method", {"method_name": "baseline"})]
    )

    def script(_: Sequence[Message]) -> Completion:
        name, arguments = next(calls, ("final_answer", {"final_solution": "done"}))
        call = ToolCall(id="1", name=name, arguments=json.dumps(arguments))
        return Completion(text="", tool_calls=(call,), finish_reason="tool_calls")

    MLABAgent(tools=True).run(env, ScriptedModel(script))
    assert env.over
    assert len(env.episode.submissions) == 1


def test_repair_is_bounded(env: TaskEnv) -> None:
    calls: list[int] = []

    def script(messages: Sequence[Message]) -> str:
        calls.append(len(messages))
        return "nonsense"

    MLABAgent(repairs=2).run(env, ScriptedModel(script))
    assert len(calls) == 3
    assert env.spend.steps == 0


def test_turns_without_steps_are_bounded(env: TaskEnv) -> None:
    model = ScriptedModel(lambda _: turn("Append to Research Log", content="again"))
    MLABAgent().run(env, model)
    assert env.spend.steps == 0


@pytest.mark.parametrize("arm", ["none", "human", "proposed"])
def test_an_idea_is_an_arm(env: TaskEnv, tmp_path: Path, arm: Any) -> None:  # noqa: ANN401
    prompts: list[str] = []

    def script(messages: Sequence[Message]) -> str:
        prompts.append(messages[0]["content"])
        if messages[0]["content"].startswith("You advise"):
            return "Advect along the motion."
        return turn("Evaluate Method", method_name="baseline")

    (tmp_path / "idea.md").write_text("Calibrate each lead.")
    idea = str(tmp_path / "idea.md") if arm == "human" else ""
    IdeaAgent(arm=arm, idea=idea).run(_short(env), ScriptedModel(script))
    expected = {"none": "", "human": "Calibrate each lead.", "proposed": "Advect along the motion."}
    assert ("Carry out this idea" in prompts[-1]) == (arm != "none")
    assert expected[arm] in prompts[-1]
    notes = [e for e in read_trajectory(tmp_path / "trajectory.jsonl") if "idea" in e]
    assert notes[0]["idea"] == {"arm": arm, "text": expected[arm]}


def _short(env: TaskEnv) -> TaskEnv:
    env.budget = env.budget.model_copy(update={"steps": 1})
    env.spend.budget = env.budget
    return env


@pytest.mark.parametrize(
    "params", [{"arm": "other"}, {"arm": "none", "idea": "x"}, {"arm": "proposed", "idea": "x"}]
)
def test_arms_that_contradict_themselves(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="arm"):
        IdeaAgent(**params)


def test_an_idea_that_is_not_there(env: TaskEnv, tmp_path: Path) -> None:
    model = ScriptedModel([])
    with pytest.raises(AgentParameterError, match="no idea of its own"):
        IdeaAgent(arm="human").run(env, model)
    with pytest.raises(AgentParameterError, match="cannot read the idea"):
        IdeaAgent(arm="human", idea=str(tmp_path / "no.txt")).run(env, model)


@pytest.mark.parametrize("name", ACTIONS)
def test_tool_names_are_names(name: str) -> None:
    assert tool_name(name).isidentifier()
