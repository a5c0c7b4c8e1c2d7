"""Feedback that a person writes in the terminal."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from agentbench_agents.feedback.report import Report
from agentbench_agents.feedback.template import template
from agentbench_agents.output import printable


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanFeedback:
    """Shows a person how a step went and passes on what they write.

    Lines are read until an empty one or the end of the input.

    Attributes:
        read: Reads a line, raising EOFError at the end.
        write: Shows a text.
    """

    read: Callable[[], str] = input
    write: Callable[[str], None] = _say

    def __call__(self, report: Report) -> str:
        """Ask for feedback."""
        self.write(printable(template(report)))
        self.write("Your feedback to the agent (an empty line ends it):")
        lines: list[str] = []
        try:
            while line := self.read().rstrip():
                lines.append(line)
        except EOFError:
            pass
        return "A person says:\n" + "\n".join(lines) if lines else ""
