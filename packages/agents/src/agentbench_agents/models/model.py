"""What a language model is here: chat messages in, one completion out.

Messages and tools have the shape of OpenAI's chat completions, which every server and every chat
template understands; a back end for another protocol translates at its own edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Required, TypedDict

Role = Literal["system", "user", "assistant", "tool"]


class FunctionCallDict(TypedDict):
    """The function of a tool call; ``arguments`` is JSON text as the model wrote it."""

    name: str
    arguments: str


class ToolCallDict(TypedDict):
    """A tool call inside an assistant message."""

    id: str
    type: Literal["function"]
    function: FunctionCallDict


class Message(TypedDict, total=False):
    """One chat message.

    An assistant message may carry ``tool_calls``; a tool message answers one of them and names it
    in ``tool_call_id``.
    """

    role: Required[Role]
    content: Required[str]
    tool_calls: list[ToolCallDict]
    tool_call_id: str
    name: str


class FunctionSchema(TypedDict):
    """A function that the model may call; ``parameters`` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, object]


class ToolSchema(TypedDict):
    """A tool as it is offered to the model."""

    type: Literal["function"]
    function: FunctionSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model asked for.

    Attributes:
        id: Names the call; the tool message that answers it repeats it.
        name: The function.
        arguments: Raw JSON text as the model wrote it. It may be invalid.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one completion consumed; ``None`` means that nobody knows, never zero.

    Attributes:
        prompt_tokens: Tokens read, those served from a provider's cache included.
        completion_tokens: Tokens written, hidden reasoning included.
        cached_tokens: The part of ``prompt_tokens`` that came from the provider's cache.
        cost_usd: List price in US dollars.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the model answered.

    Attributes:
        text: The answer, special tokens and stop strings removed.
        tool_calls: Calls in the order in which the model wrote them.
        usage: Tokens and cost.
        reasoning: Reasoning that the server returned apart from the answer.
        logprobs: Natural log-probability of each generated token, shape (T,).
        token_ids: Generated tokens, the one that ended the turn included, shape (T,).
        prompt_token_ids: The tokens of the rendered prompt, shape (P,).
        finish_reason: ``stop``, ``length``, ``tool_calls``, ``content_filter`` or the server's own
            word.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    reasoning: str | None = None
    logprobs: tuple[float, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    finish_reason: str | None = None

    def as_message(self) -> Message:
        """The assistant message to append to the conversation."""
        message: Message = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        return message


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw a completion; ``None`` leaves the choice to the server.

    Attributes:
        temperature: 0 is greedy.
        top_p: Nucleus sampling mass in (0, 1].
        max_tokens: The most tokens to generate.
        seed: Repeats a draw where the back end can (not Anthropic's).
        stop: Strings that end the answer; they are not part of it.
        logprobs: Ask for the log-probability of each token.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False

    def over(self, default: "Sampling") -> "Sampling":
        """This sampling with every field that is not set taken from ``default``."""
        return Sampling(
            temperature=default.temperature if self.temperature is None else self.temperature,
            top_p=default.top_p if self.top_p is None else self.top_p,
            max_tokens=default.max_tokens if self.max_tokens is None else self.max_tokens,
            seed=default.seed if self.seed is None else self.seed,
            stop=self.stop or default.stop,
            logprobs=self.logprobs or default.logprobs,
        )


class Model(Protocol):
    """A language model. Implementations may be called from several threads at once."""

    @property
    def name(self) -> str:
        """Scheme and name, such as ``openai:gpt-5``; goes into ``run.json``."""
        ...

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = Sampling(),
    ) -> Completion:
        """Answer a conversation.

        Args:
            messages: The conversation so far, oldest first.
            tools: Functions that the model may call.
            sampling: Fields that are set override those given when the model was opened.

        Raises:
            ModelUnavailableError: No answer after bounded retries.
            ModelProtocolError: The answer was not one.
            ModelConfigError: Name, key or address is wrong.
            ModelRequestError: The provider refuses this conversation (see also
                `ContextLengthError`).
        """
        ...

    def close(self) -> None:
        """Release connections and memory; the model is not used afterwards."""
        ...
