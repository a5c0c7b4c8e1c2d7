"""Chat samples, one for each talk."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from agentbench_agents.export.conversations import Conversation
from agentbench_agents.run import RunResult


def chat_samples(
    result: RunResult, conversations: Sequence[Conversation]
) -> Iterator[dict[str, Any]]:
    """Yield `{"messages", "tools", ...}` with the run's own fields.

    `tools` is JSON text, which TRL and `agentbench-irl` read: as a table, `datasets` would give
    every tool the parameters of all others.
    """
    for talk in conversations:
        yield {
            "messages": [turn.message for turn in talk.turns],
            "tools": json.dumps(list(talk.tools)),
            "reward": sum(turn.reward or 0.0 for turn in talk.turns),
            **provenance(result),
        }


def provenance(result: RunResult) -> dict[str, Any]:
    """Return where a sample comes from and what its run was worth."""
    return {
        "run_id": result.run_id,
        "task": result.task,
        "agent": result.agent,
        "model": result.model,
        "status": result.status,
        "score": result.score,
        "human_rank": result.human_rank,
        "margin": result.margin,
    }
