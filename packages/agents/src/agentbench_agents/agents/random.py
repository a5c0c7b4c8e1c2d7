"""Chance: actions and predictions drawn at random, the floor under every other agent."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar, get_args

import numpy as np

from agentbench_agents.actions import ExecuteCode, GetHistory, InfoType, RequestInfo, ValidateCode
from agentbench_agents.errors import AgentParameterError

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomAgent:
    """Takes random actions; its programs guess from the targets of the training data.

    The draws come from the environment's generator, so that a seed repeats a run.

    Attributes:
        guesses: The part of the steps that submit a guess, in [0, 1].
    """

    guesses: float = 0.5
    needs_model: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.guesses <= 1.0:
            raise ValueError(f"guesses must be in [0, 1], not {self.guesses}")

    def run(self, env: "TaskEnv", model: "Model") -> None:  # noqa: ARG002 - the protocol's
        """Act until the episode is over; the first action is a guess, so that there is one."""
        if env.is_research:
            raise AgentParameterError("agent 'random' guesses tables; it cannot do research tasks")
        template = files("agentbench_agents.agents").joinpath("random_guess.py.txt")
        targets = json.dumps(list(env.task.submission.columns))
        program = template.read_text("utf-8").replace("__TARGETS__", repr(targets))
        draw: np.random.Generator = env.np_random
        first = True
        seeds: list[int] = draw.integers(2**31, size=env.budget.steps + 1).tolist()
        while not env.over:
            code = program.replace("__SEED__", str(seeds.pop()))
            if first or draw.random() < self.guesses:
                action = ExecuteCode(code=code)
            else:
                kinds = get_args(InfoType)
                info = RequestInfo(info_type=kinds[int(draw.integers(len(kinds)))])
                action = (info, GetHistory(), ValidateCode(code=code))[int(draw.integers(3))]
            env.step(action.to_text())
            first = False
