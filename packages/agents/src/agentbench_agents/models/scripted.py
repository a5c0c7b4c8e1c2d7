"""A model that answers from a list or a function: for tests, examples and dry runs."""

import threading
from collections.abc import Callable, Iterable, Sequence

from agentbench_agents.models.errors import ModelConfigError
from agentbench_agents.models.model import Completion, Message, Sampling, ToolSchema

Answer = str | Completion
Script = Iterable[Answer] | Callable[[Sequence[Message]], Answer]


class ScriptedModel:
    """Answers the n-th call with the n-th answer, or with what a function of the messages returns.

    Args:
        script: Answers in order, or a function from the conversation to an answer. A plain string
            becomes a `Completion` whose usage is unknown.
        name: What `name` returns.

    Raises:
        ModelConfigError: The script is neither.
    """

    def __init__(self, script: Script, *, name: str = "scripted") -> None:
        if isinstance(script, str) or not (callable(script) or hasattr(script, "__iter__")):
            raise ModelConfigError(
                f"a {type(script).__name__} is neither a list of answers nor a function"
            )
        self._answers = None if callable(script) else iter(script)
        self._function = script if callable(script) else None
        self._name = name
        self._calls = 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name given."""
        return self._name

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),  # noqa: ARG002 - the protocol's signature
        sampling: Sampling = Sampling(),  # noqa: ARG002, B008
    ) -> Completion:
        """The next answer.

        Raises:
            ModelConfigError: The script is used up.
        """
        answer = self._function(messages) if self._function else self._next()
        return Completion(text=answer, finish_reason="stop") if isinstance(answer, str) else answer

    def close(self) -> None:
        """Nothing to release."""

    def _next(self) -> Answer:
        assert self._answers is not None  # noqa: S101 - one of the two is set
        with self._lock:
            for answer in self._answers:
                self._calls += 1
                return answer
        raise ModelConfigError(
            f"the script of {self._name!r} has {self._calls} answers and one more was asked for"
        )
