"""Token rows: what the model read and wrote, with the log-probabilities that it had then.

A row goes on for as long as each prompt begins with all that went before. Where the context was
trimmed, or the chat template renders earlier turns differently, a new row begins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentbench_agents.export.chat import provenance
from agentbench_agents.export.conversations import Conversation, Turn
from agentbench_agents.run import RunResult


@dataclass(slots=True)
class _Row:
    """Lists of one length T, one entry a token."""

    input_ids: list[int] = field(default_factory=list[int])
    assistant_masks: list[int] = field(default_factory=list[int])
    logprobs: list[float | None] = field(default_factory=list[float | None])
    rewards: list[float] = field(default_factory=list[float])

    def read(self, tokens: Sequence[int]) -> None:
        """Append what the model was told."""
        self._append(tokens, 0, [None] * len(tokens))

    def write(self, turn: Turn) -> None:
        """Append what the model wrote; its reward is on the last token."""
        tokens: Sequence[int] = turn.event["token_ids"]
        known: Sequence[float] | None = turn.event.get("logprobs")
        self._append(tokens, 0 if turn.repeated else 1, list(known or [None] * len(tokens)))
        if tokens and not turn.repeated:
            self.rewards[-1] = turn.reward or 0.0

    def _append(self, tokens: Sequence[int], mask: int, logprobs: list[float | None]) -> None:
        self.input_ids += tokens
        self.assistant_masks += [mask] * len(tokens)
        self.logprobs += logprobs
        self.rewards += [0.0] * len(tokens)


def token_rows(
    result: RunResult, conversations: Sequence[Conversation]
) -> Iterator[dict[str, Any]]:
    """Yield rows of T tokens.

    * `input_ids`: (T,) token ids;
    * `assistant_masks`: (T,) 1 where the model wrote the token and no earlier row trains it;
    * `logprobs`: (T,) log π of the tokens that the model wrote, at temperature 1, else null;
    * `rewards`: (T,) the reward of a step at the last token of the turn that earned it, else 0;
    * `reward`: their sum.

    Turns whose back end told no token ids are left out.
    """
    for talk in conversations:
        for row in _rows(talk):
            if any(row.assistant_masks):
                yield {
                    "input_ids": row.input_ids,
                    "assistant_masks": row.assistant_masks,
                    "logprobs": row.logprobs,
                    "rewards": row.rewards,
                    "reward": sum(row.rewards),
                    **provenance(result),
                }


def _rows(talk: Conversation) -> Iterator[_Row]:
    row = _Row()
    for turn in talk.turns:
        prompt = turn.prompt_ids
        if prompt is None or "token_ids" not in turn.event:
            continue
        before = len(row.input_ids)
        if row.input_ids != list(prompt[:before]):
            yield row
            row, before = _Row(), 0
        row.read(prompt[before:])
        row.write(turn)
    yield row
