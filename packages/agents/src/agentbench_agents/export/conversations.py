"""A trajectory as conversations: one branch for each path from the root to a leaf.

A reward belongs to the message that earned it: an action event names the message that it was taken
from, and the observation that follows the action holds the reward.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_Event = Mapping[str, Any]
MESSAGE_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a conversation.

    Attributes:
        message: The message as it was sent, in the shape of chat completions.
        event: Its event: usage, seconds, and token ids where they are known.
        reward: What the actions taken from it earned; None where none was taken.
        repeated: Whether an earlier branch of the same run has it too.
        prompt_ids: Tokens that the model read before it wrote this message, where known.
    """

    message: dict[str, Any]
    event: _Event
    reward: float | None = None
    repeated: bool = False
    prompt_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation that ends with the assistant, or with what it was told last.

    Attributes:
        turns: The messages, oldest first.
        tools: Tools that the model was offered, in the shape of chat completions.
        modelled: Whether a language model wrote the assistant's messages.
    """

    turns: tuple[Turn, ...]
    tools: Sequence[Mapping[str, Any]]
    modelled: bool


def conversations(events: Sequence[_Event]) -> list[Conversation]:
    """Return the conversations of a run, in the order in which they ended.

    A run without a language model is one conversation for each branch of the environment:
    observations are told, actions are tool calls of the assistant.
    """
    by_id = {e["id"]: e for e in events}
    talk = {e["id"]: e for e in events if e["type"] == "message"}
    if not talk:
        return _enacted(events, by_id)
    rewards = _rewards(events, by_id)
    parents = {e["parent"] for e in talk.values()}
    seen: set[int] = set()
    found: list[Conversation] = []
    for event in talk.values():
        if event["id"] in parents or event["role"] != "assistant":
            continue
        path = _path(event, talk)
        turns = tuple(
            Turn(
                message={k: e[k] for k in MESSAGE_FIELDS if k in e},
                event=e,
                reward=rewards.get(e["id"]),
                repeated=e["id"] in seen,
                prompt_ids=_prompt_ids(e, talk),
            )
            for e in path
        )
        seen.update(e["id"] for e in path)
        offered = [by_id[e["tools"]]["tools"] for e in path if "tools" in e]
        found.append(Conversation(turns=turns, tools=offered[-1] if offered else (), modelled=True))
    return found


def _path(event: _Event, among: Mapping[int, _Event]) -> list[_Event]:
    path: list[_Event] = []
    at: _Event | None = event
    while at is not None:
        path.append(at)
        at = among.get(at["parent"])
    return path[::-1]


def _rewards(events: Sequence[_Event], by_id: Mapping[int, _Event]) -> dict[int, float]:
    """Return message id -> the sum of what the actions taken from it earned."""
    rewards: dict[int, float] = {}
    for event in events:
        if event["type"] == "observation" and "reward" in event:
            source = _action_before(event, by_id)
            message = None if source is None else source.get("message")
            if message is not None:
                rewards[message] = rewards.get(message, 0.0) + event["reward"]
    return rewards


def _action_before(observation: _Event, by_id: Mapping[int, _Event]) -> _Event | None:
    at = by_id.get(observation["parent"])
    while at is not None and at["type"] == "score":
        at = by_id.get(at["parent"])
    return at if at is not None and at["type"] == "action" else None


def _prompt_ids(event: _Event, talk: Mapping[int, _Event]) -> tuple[int, ...] | None:
    """Return the whole prompt of a message; what it shares with an earlier one is stored there."""
    if "prompt_token_ids" not in event:
        return None
    pieces: list[Sequence[int]] = []
    at: _Event | None = event
    while at is not None:
        pieces.append(at["prompt_token_ids"])
        at = talk.get(at.get("prompt_continues", -1))
        if at is not None:
            pieces.append(at["token_ids"])
    return tuple(token for piece in reversed(pieces) for token in piece)


def _enacted(events: Sequence[_Event], by_id: Mapping[int, _Event]) -> list[Conversation]:
    steps = {e["id"]: e for e in events if e["type"] in ("observation", "action", "score")}
    tools: Sequence[Any] = next((e["actions"] for e in events if "actions" in e), ())
    parents = {e["parent"] for e in steps.values()}
    leaves = [e for e in steps.values() if e["id"] not in parents]
    seen: set[int] = set()
    found: list[Conversation] = []
    for leaf in leaves:
        path = [e for e in _path(leaf, steps) if e["type"] != "score"]
        rewards = {
            action["id"]: e["reward"]
            for e in path
            if "reward" in e and (action := _action_before(e, by_id)) is not None
        }
        turns = _as_talk(path, rewards, seen)
        seen.update(e["id"] for e in path)
        if any(turn.message["role"] == "assistant" for turn in turns):
            found.append(Conversation(turns=tuple(turns), tools=tools, modelled=False))
    return found


def _as_talk(path: Sequence[_Event], rewards: Mapping[int, float], seen: set[int]) -> list[Turn]:
    turns: list[Turn] = []
    call: str | None = None
    for event in path:
        message: dict[str, Any]
        if event["type"] == "observation" and call is None:
            message = {"role": "user", "content": event["text"]}
        elif event["type"] == "observation":
            message = {"role": "tool", "tool_call_id": call, "content": event["text"]}
        elif "action" in event:
            call = f"call_{event['id']}"
            function = {"name": event["action"], "arguments": json.dumps(event["params"])}
            calls = [{"id": call, "type": "function", "function": function}]
            message = {"role": "assistant", "content": "", "tool_calls": calls}
        else:
            call = None
            message = {"role": "assistant", "content": event["text"]}
        turns.append(
            Turn(
                message=message,
                event=event,
                reward=rewards.get(event["id"]),
                repeated=event["id"] in seen,
            )
        )
    return turns
