"""Operators: how one step of a search writes a program. They are where a search is extended.

An operator has a role, which is what a policy asks for, and a prompt, which is a text file in
`prompts/`. What it may remember is scoped: a draft or an improvement sees what was tried beside it,
a fix sees the fixes before it in its own chain, and nobody sees the whole tree. How much to attempt
grows with what was tried beside it (the complexity cue).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from agentbench_agents.output import trim
from agentbench_agents.search.answer import Answer, AnswerError
from agentbench_agents.search.node import Node, Role

_PLAN, _OUTPUT, _BLOCK = 600, 4000, "```"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What an operator may know: fixed when the expansion was chosen, whatever ends meanwhile.

    Attributes:
        id: Of the node that it makes.
        parents: Programs to start from; none for a draft.
        tried: What was tried beside it, oldest first: a plan and what came of it.
        seed: For this expansion alone.
    """

    id: int
    parents: tuple[Node, ...] = ()
    tried: tuple[str, ...] = ()
    seed: int = 0


class Desk(Protocol):
    """What an operator works with."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What every prompt may say: `task`, `metric`, `direction`, `seconds`."""
        ...

    def ask(self, prompt: str) -> Answer:
        """Ask the model; an answer that cannot be read is mended a bounded number of times.

        Raises:
            AnswerError: None could be read.
        """
        ...

    def run(self, code: str) -> str:
        """Run a program in a fork of the environment and return what is told; takes a step."""
        ...


@runtime_checkable
class Operator(Protocol):
    """Writes a program for one kind of step.

    A policy asks for a role; of several operators of a role one is drawn for each expansion.
    """

    @property
    def name(self) -> str:
        """Its name in prompts, nodes and records."""
        ...

    @property
    def role(self) -> Role:
        """The step that it takes."""
        ...

    @property
    def runs(self) -> int:
        """The most `Desk.run` that one call takes."""
        ...

    def __call__(self, expansion: Expansion, desk: Desk) -> Answer:
        """Write a program.

        Raises:
            AnswerError: The model wrote none that could be read.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOperator:
    """Asks the model once, with the prompt of its name."""

    name: str
    role: Role
    runs: int = 0

    def __call__(self, expansion: Expansion, desk: Desk) -> Answer:
        """Ask for the whole program."""
        return desk.ask(render(self.name, expansion, desk.facts))


@dataclass(frozen=True, slots=True, kw_only=True)
class AblateAndRefine:
    """Finds out which part of a program matters most, and refines that part (arXiv 2506.15692).

    The model writes an ablation study of the parent; it is run; the model gets what it printed and
    refines the part that matters most. Where no study can be read it refines without one.
    """

    name: str = "ablate"
    role: Role = "improve"
    runs: int = 1

    def __call__(self, expansion: Expansion, desk: Desk) -> Answer:
        """Study, then refine."""
        try:
            study = desk.ask(render("ablate", expansion, desk.facts))
        except AnswerError:
            found = "(none could be made)"
        else:
            found = trim(desk.run(study.code), limit=_OUTPUT)
        return desk.ask(render("refine", expansion, {**desk.facts, "study": found}))


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "draft": PromptOperator(name="draft", role="draft"),
        "debug": PromptOperator(name="debug", role="debug"),
        "improve": PromptOperator(name="improve", role="improve"),
        "crossover": PromptOperator(name="crossover", role="crossover"),
        "ensemble": PromptOperator(name="ensemble", role="ensemble"),
        "ablate": AblateAndRefine(),
    }
)


def render(name: str, expansion: Expansion, facts: Mapping[str, str]) -> str:
    """Return the prompt `prompts/<name>.txt` for one expansion.

    What the model or its programs wrote is put in once and never looked at for placeholders.
    """
    first = expansion.parents[0] if expansion.parents else None
    values = {
        **facts,
        "rules": fill(prompt_text("rules"), facts),
        "tried": "\n".join(expansion.tried) or "(nothing yet)",
        "complexity": complexity_cue(len(expansion.tried)),
        "programs": "\n\n".join(_program(n, i) for i, n in enumerate(expansion.parents, 1)),
        "fixes": _fixes(first),
    }
    return fill(prompt_text(name), values)


def prompt_text(name: str) -> str:
    """Return a prompt's text."""
    return files("agentbench_agents.search").joinpath("prompts", f"{name}.txt").read_text("utf-8")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each `{name}` of a template by its value, in one pass."""
    return re.sub(r"\{([a-z]+)\}", lambda m: values.get(m[1], m[0]), template)


def complexity_cue(tried: int) -> str:
    """Return how much to attempt, after so many attempts beside it: under 2, under 4, or more."""
    if tried < 2:
        return "Keep it simple: a plain method that is sure to run and gives a first number."
    if tried < 4:
        return "Be moderately ambitious: one well-founded step beyond the plain method."
    return "Be ambitious: simple ideas have been tried; use a stronger and more elaborate one."


def tried_beside(parent: Node) -> tuple[str, ...]:
    """Return a line for each child of a node that is not under way: its plan, and what came of it.

    A child that had to be fixed counts as what its fixes led to.
    """
    return tuple(
        f"- {_short(child.outcome.plan)} -> {_result(child.resolved)}"
        for child in parent.children
        if not child.pending and child.outcome.code
    )


def _result(node: Node) -> str:
    return "it failed" if node.metric is None else f"{node.metric:.6g}"


def _short(plan: str) -> str:
    text = " ".join(plan.split()) or "(no plan was given)"
    return text if len(text) <= _PLAN else text[:_PLAN] + " ..."


def _program(node: Node, number: int) -> str:
    told = trim(node.outcome.output, limit=_OUTPUT)
    return (
        f"Program {number}, validation metric {_result(node)}.\n"
        f"Its plan: {_short(node.outcome.plan)}\n"
        f"{_BLOCK}python\n{node.outcome.code}\n{_BLOCK}\nWhat running it told:\n{told}"
    )


def _fixes(node: Node | None) -> str:
    chain: Sequence[Node] = node.debug_chain if node is not None else ()
    lines = [f"- {_short(n.outcome.plan)} -> {_ending(n.outcome.output)}" for n in chain[1:]]
    return "\n".join(lines) or "(none)"


def _ending(output: str) -> str:
    """The last line of an output: with Python, the error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing was told"
