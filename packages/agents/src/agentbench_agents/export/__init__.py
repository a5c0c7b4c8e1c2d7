"""Trajectories as training data, one JSON object a line.

* `messages`: `{"messages", "tools", ...}`, which TRL's SFT, axolotl and `agentbench-irl train`
  read. A run of a language model is exported as it was talked, one sample for each branch; a run
  of another agent as the talk it would have been.
* `rows`: `{"input_ids", "assistant_masks", "logprobs", "rewards", ...}`, token for token what the
  model read and wrote, for training on policy without rendering or tokenising again.
* `atif`: documents of the Agent Trajectory Interchange Format, v1.8.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agentbench_agents.campaign import read_campaign
from agentbench_agents.errors import AgentParameterError
from agentbench_agents.export.atif import atif_documents
from agentbench_agents.export.chat import chat_samples
from agentbench_agents.export.conversations import Conversation, conversations
from agentbench_agents.export.filters import select
from agentbench_agents.export.tokens import token_rows
from agentbench_agents.run import TRAJECTORY_FILE, RunResult
from agentbench_agents.trajectory import read_trajectory

__all__ = ["FORMATS", "export", "select"]

_Row = dict[str, Any]
Format = Callable[[RunResult, list[Conversation]], Iterator[_Row]]

FORMATS: Mapping[str, Format] = MappingProxyType(
    {"messages": chat_samples, "rows": token_rows, "atif": atif_documents}
)


def export(directory: Path, *, format_: str = "messages", keep: str = "all") -> Iterator[_Row]:
    """Yield the samples of an output directory's finished runs, each distinct conversation once.

    Args:
        directory: What `agentbench run --out` wrote.
        format_: `messages`, `rows` or `atif`.
        keep: `all`, `scored`, `best-per-task` (by score), `score>=X`, `score<=X` or `top-K`; the
            comparisons also of `human_rank` and `margin`.

    Raises:
        AgentParameterError: An unknown format or filter, or `rows` where no run has token ids.
        RunDirectoryError: The directory holds no runs, or a trajectory was changed.
    """
    if format_ not in FORMATS:
        raise AgentParameterError(f"unknown format {format_!r}; choose one of {', '.join(FORMATS)}")
    results = select(read_campaign(directory).results(), keep)
    seen: set[bytes] = set()
    found = 0
    for result in results:
        events = list(read_trajectory(directory / result.run_id / TRAJECTORY_FILE))
        new = {key: b for b in conversations(events) if (key := _digest(b)) not in seen}
        seen.update(new)
        for row in FORMATS[format_](result, list(new.values())):
            found += 1
            yield row
    if format_ == "rows" and results and not found:
        raise AgentParameterError(
            f"none of the {len(results)} runs in {directory} recorded token ids; run a model that "
            "returns them (transformers:PATH, or a server that answers return_token_ids)"
        )


def _digest(talk: Conversation) -> bytes:
    said = [[turn.message, turn.event.get("token_ids")] for turn in talk.turns]
    text = json.dumps([said, list(talk.tools)], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()
