"""What the agent is told of a step: providers, each of which turns a report into text.

The feedback policy says what of the grader may be told at all, whoever tells it:

* `none`: that a submission was received;
* `validity`: and whether it is valid, with every issue;
* `validation`: and its score on a fixed half of the public part of the answers; the final
  submission is then chosen on the other half, which is never shown (hidden consistent evaluation,
  as in AIRA₂, arXiv 2603.26499);
* `public`: and its score on the public part of the answers (the default);
* `public+private`: and its score on all answers, as MLE-Dojo does. The final score is then no
  measure of generalisation, and every result row says so.

A provider is a function from a `Report` to a text, and a report holds nothing that the policy
hides. `PROVIDERS` names those that need no argument; `ModelFeedback` needs a model.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from agentbench_agents.errors import AgentsError
from agentbench_agents.feedback.analysis import analysis
from agentbench_agents.feedback.human import HumanFeedback
from agentbench_agents.feedback.report import Report
from agentbench_agents.feedback.template import code_output, template
from agentbench_agents.feedback.written import ModelFeedback

__all__ = [
    "PROVIDERS",
    "FeedbackProvider",
    "HumanFeedback",
    "ModelFeedback",
    "Report",
    "analysis",
    "code_output",
    "compose",
    "find_providers",
    "template",
]

FeedbackProvider = Callable[[Report], str]
"""Says something about a step; an empty text says nothing."""

PROVIDERS: Mapping[str, FeedbackProvider] = MappingProxyType(
    {"template": template, "analysis": analysis, "human": HumanFeedback()}
)


def compose(providers: Sequence[FeedbackProvider], report: Report) -> str:
    """Return what all providers say, one after the other."""
    said = (provider(report).strip() for provider in providers)
    return "\n\n".join(text for text in said if text)


def find_providers(wanted: Sequence[str | FeedbackProvider]) -> tuple[FeedbackProvider, ...]:
    """Look names up in `PROVIDERS`; functions are taken as they are.

    Raises:
        AgentsError: There is no provider of that name.
    """
    if isinstance(wanted, str):
        raise AgentsError(f"providers must be a sequence of names or functions, not {wanted!r}")
    found: list[FeedbackProvider] = []
    for item in wanted:
        if not isinstance(item, str):
            found.append(item)
        elif item in PROVIDERS:
            found.append(PROVIDERS[item])
        else:
            raise AgentsError(
                f"unknown feedback provider {item!r}; choose among {', '.join(PROVIDERS)} or "
                "give a function of a Report"
            )
    return tuple(found)
