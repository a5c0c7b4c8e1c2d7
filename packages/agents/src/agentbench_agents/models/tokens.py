"""Token estimates that never touch the network."""

import json
from collections.abc import Sequence

from agentbench_agents.models.model import Message, ToolSchema

_BYTES_PER_TOKEN = 4  # English and code measure 3.5 to 4.5 with the tokenizers in use
_PER_MESSAGE = 4  # role and the special tokens around a message


def estimate_tokens(messages: Sequence[Message], *, tools: Sequence[ToolSchema] = ()) -> int:
    """Estimate the tokens of a prompt as UTF-8 bytes / 4, plus 4 a message.

    It decides when to compact a conversation and what to book against a rate limit. It is never
    reported as usage: that comes from the provider, or is unknown.
    """
    total = sum(_PER_MESSAGE + _tokens(_text(message)) for message in messages)
    return total + (_tokens(json.dumps(list(tools))) if tools else 0)


def _text(message: Message) -> str:
    calls = message.get("tool_calls")
    return message["content"] + (json.dumps(calls) if calls else "")


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)
