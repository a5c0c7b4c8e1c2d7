"""One draft, run and submitted: what a search has to beat."""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from agentbench_agents.actions import ExecuteCode, Submit
from agentbench_agents.errors import AgentParameterError
from agentbench_agents.models import Sampling
from agentbench_agents.search import OPERATORS, AnswerError, Expansion
from agentbench_agents.search.workbench import Workbench, task_facts

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """Writes one program with the operator `draft` of the search, and runs it once.

    Attributes:
        repairs: How often the model may mend an answer that cannot be read.
        temperature: Sampling temperature, or that of the server.
        max_tokens: Longest answer, in tokens.
    """

    repairs: int = 2
    temperature: float | None = 0.5
    max_tokens: int = 8192

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Ask, run, submit.

        Raises:
            AgentParameterError: It is a research task.
        """
        if env.is_research:
            raise AgentParameterError(f"this agent writes submissions; {env.task.name} is research")
        facts = task_facts(env)
        seed = Random(f"{env.np_random_seed} 1").getrandbits(31)
        sampling = Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=seed)
        desk = Workbench(env=env, model=model, facts=facts, sampling=sampling, repairs=self.repairs)
        try:
            answer = OPERATORS["draft"](Expansion(id=1), desk)
        except AnswerError as error:
            env.trajectory.append("note", {"one_shot": f"no program could be read: {error}"})
            return
        for action in (ExecuteCode(code=answer.code), Submit()):
            if not env.over:
                env.step(action.to_text())
