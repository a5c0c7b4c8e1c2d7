"""Each text of `agents/` that a model or a person's command reads is rendered as they get it."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest

from agentbench_agents import Agent, Budget, TaskEnv
from agentbench_agents.agents import find_agent
from agentbench_agents.agents.mlab import MLABAgent, system_prompt
from agentbench_agents.models import Completion, Message, Sampling, ToolSchema
from agentbench_agents.testing import NullSandbox
from agentbench_sandbox import CapabilityError

TEXTS = {
    "black_box_task.md.txt": ("black_box", {"command": "true"}),
    "mle_system.txt": ("mle", {"repairs": 0}),
    "react_fenced.txt": ("react", {"tools": False, "repairs": 0}),
    "react_tools.txt": ("react", {"repairs": 0}),
}
SHARED = {"react_system.txt": "react_tools.txt"}
RESEARCH = {"mlab_system.txt", "mlab_format.txt"}
NO_PROMPTS = {"black_box_relay.py.txt", "random_guess.py.txt", "tabular.py.txt"}  # programs


class Listener:
    """Keeps the first conversation and says nothing of use."""

    name = "scripted:listener"

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    ) -> Completion:
        del tools, sampling
        self.heard = self.heard or list(messages)
        return Completion(text="I see.")

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def raw(name: str) -> str:
    return files("agentbench_agents.agents").joinpath(name).read_text("utf-8")


def check_rendered(name: str, text: str) -> None:
    """Every line of the file is there; where it has a placeholder, what surrounds it is."""
    for line in filter(None, map(str.strip, raw(name).splitlines())):
        before, *after = re.split(r"\{[a-z]+\}", line)
        assert before in text, line
        assert all(part in text for part in after), line
    for placeholder in re.findall(r"\{[a-z]+\}", raw(name)):
        assert placeholder not in text


@pytest.mark.parametrize("name", [*TEXTS, *SHARED])
def test_a_text_is_rendered(name: str, data: Path) -> None:
    agent: Agent = find_agent(*TEXTS[SHARED.get(name, name)])
    boxes: list[NullSandbox] = []

    def sandbox() -> NullSandbox:
        boxes.append(NullSandbox())
        return boxes[-1]

    env = TaskEnv("wine", data_root=data, sandbox=sandbox, budget=Budget(steps=2))
    env.reset(seed=0)
    model = Listener()
    if name.startswith("black_box"):
        with pytest.raises(CapabilityError):  # the text is written before the command is begun
            agent.run(env, model)
        text = boxes[-1].files["/workspace/TASK.md"]
        text = text.decode()
    else:
        agent.run(env, model)
        text = model.heard[0]["content"]
        assert "You have 2 steps" in text
        assert name == "react_tools.txt" or "execute_code" in text or name in SHARED
    check_rendered(name, text)
    env.close()


def test_research_texts_are_rendered(data: Path) -> None:
    env = TaskEnv("llm-merging-lite", data_root=data, sandbox="local", budget=Budget(steps=7))
    env.reset(seed=0)
    text = system_prompt(MLABAgent(tools=False, idea="Try {steps} again."), env)
    for name in RESEARCH:
        fixed = re.sub(r"\{idea\}", "", raw(name))
        assert all(
            part in text
            for line in fixed.splitlines()
            for part in re.split(r"\{[a-z]+\}", line)
            if part.strip()
        )
    assert "You have 7 steps" in text
    assert "Try {steps} again." in text  # what was put in is not looked at for placeholders
    env.close()


def test_there_is_no_other_text() -> None:
    there = {p.name for p in files("agentbench_agents.agents").iterdir() if ".txt" in p.name}
    assert there == {*TEXTS, *SHARED} | RESEARCH | NO_PROMPTS
