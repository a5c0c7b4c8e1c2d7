"""A model that keeps every conversation inside its window.

An agent goes on with its whole conversation; what is sent is that conversation with its old part
compacted (`context.fit`). The compacted beginning is remembered, so that a talk is summarised once
in a window and not in every turn. A trajectory records what was sent, as a branch.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from agentbench_agents.models.context import Compaction, fit
from agentbench_agents.models.model import Completion, Message, Model, Sampling, ToolSchema
from agentbench_agents.models.tokens import estimate_tokens

_RESERVE = 0.1  # part of the window that is left for an answer without `max_tokens`
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A beginning of a conversation and what it was compacted to."""

    whole: tuple[Message, ...]
    sent: tuple[Message, ...]


class WindowedModel:
    """Passes calls on to `model` with conversations that fit its window.

    Args:
        model: Answers, and writes summaries.
        window: Its window in tokens, prompt and answer together.
        threshold: The part of the window from which on a conversation is compacted, in (0, 1].
    """

    def __init__(self, model: Model, *, window: int, threshold: float = 0.9) -> None:
        if window < 1 or not 0 < threshold <= 1:
            raise ValueError(
                f"window must be at least 1 and threshold in (0, 1], not {window} and {threshold}"
            )
        self._model = model
        self._window = window
        self._threshold = threshold
        self._beginnings: list[_Beginning] = []
        self._scale = 1.0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    ) -> Completion:
        """Complete a conversation, compacted if need be; see `Model.complete`.

        Raises:
            ContextLengthError: It does not fit even when compacted.
        """
        whole = tuple(messages)
        with self._lock:
            candidate = self._resume(whole)
            scale = self._scale
        fitted = fit(
            candidate,
            model=self._model,
            window=self._window,
            tools=tools,
            reserve=min(sampling.max_tokens or int(self._window * _RESERVE), self._window // 2),
            threshold=self._threshold,
            scale=scale,
        )
        if fitted.measures:
            self._remember(whole, fitted)
        completion = self._model.complete(fitted.messages, tools=tools, sampling=sampling)
        self._learn(fitted.messages, tools, completion)
        return completion

    def close(self) -> None:
        """Close the model."""
        self._model.close()

    def _resume(self, whole: tuple[Message, ...]) -> tuple[Message, ...]:
        """Put the longest compacted beginning in the place of what it stands for."""
        for known in sorted(self._beginnings, key=lambda b: -len(b.whole)):
            if whole[: len(known.whole)] == known.whole:
                return (*known.sent, *whole[len(known.whole) :])
        return whole

    def _remember(self, whole: tuple[Message, ...], fitted: Compaction) -> None:
        with self._lock:
            self._beginnings.append(_Beginning(whole, fitted.messages))
            del self._beginnings[:-_REMEMBERED]

    def _learn(
        self, sent: Sequence[Message], tools: Sequence[ToolSchema], completion: Completion
    ) -> None:
        """Correct the estimate of tokens by what the provider counted."""
        counted, estimated = completion.usage.prompt_tokens, estimate_tokens(sent, tools=tools)
        if counted and estimated:
            with self._lock:
                self._scale = counted / estimated
