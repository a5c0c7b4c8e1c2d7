"""An idea as an arm of an experiment: given by a person, proposed by a model, or none.

MLRC-Bench compares agents that get an idea with agents that find their own. The arm is a parameter
of the agent, so that a campaign crosses it with tasks, models and seeds:

    agentbench run --suite research-lite --agent idea --param arm=proposed --model openai:NAME
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentbench_agents.agents.mlab import MLABAgent
from agentbench_agents.errors import AgentParameterError
from agentbench_agents.models import Sampling

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model

Arm = Literal["none", "human", "proposed"]
_ASK = """\
You advise researchers. Propose one idea for a method that beats the baseline of the problem below.
Say in at most 400 words: what limits the baseline, what your method does instead, step by step and
precise enough to be programmed without asking you, and how it could fail. Write no code.

Problem:
{problem}

Background:
{background}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdeaAgent:
    """MLAB with an idea to carry out.

    Attributes:
        arm: `none`; `human`, the text given, or else the task's own; `proposed`, asked of the
            model before the first step.
        idea: Text of the idea, or path of a `.txt` or `.md` file, for the arm `human`.
        tools: As for `MLABAgent`.
        temperature: For the proposal.
    """

    arm: Arm = "proposed"
    idea: str = ""
    tools: bool = False
    temperature: float | None = 1.0

    def __post_init__(self) -> None:
        if self.arm not in ("none", "human", "proposed"):
            raise ValueError(f"arm must be none, human or proposed, not {self.arm!r}")
        if self.idea and self.arm != "human":
            raise ValueError(f"an idea was given, but the arm is {self.arm!r}, not human")

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Get the idea, record it, and let MLAB carry it out."""
        text = self._text(env, model)
        env.trajectory.append("note", {"idea": {"arm": self.arm, "text": text}})
        replace(MLABAgent(tools=self.tools), idea=text).run(env, model)

    def _text(self, env: "TaskEnv", model: "Model") -> str:
        if self.arm == "none":
            return ""
        if self.arm == "proposed":
            return propose(env, model, temperature=self.temperature)
        given = self.idea
        if given.endswith((".txt", ".md")):
            try:
                given = Path(given).read_text("utf-8")
            except OSError as error:
                raise AgentParameterError(
                    f"cannot read the idea {given}: {error.strerror}"
                ) from error
        given = given or str(getattr(env.task, "idea", ""))
        if not given.strip():
            raise AgentParameterError(
                f"{env.task.name} has no idea of its own; give one with --param idea=FILE.txt"
            )
        return given


def propose(env: "TaskEnv", model: "Model", *, temperature: float | None = 1.0) -> str:
    """Ask a model for one idea, from the problem statement and the background alone."""
    question = _ASK.replace("{problem}", env.task.description)
    question = question.replace(
        "{background}", str(getattr(env.task, "background", "")) or "(none)"
    )
    return model.complete(
        [{"role": "user", "content": question}],
        sampling=Sampling(temperature=temperature, max_tokens=2048),
    ).text.strip()
