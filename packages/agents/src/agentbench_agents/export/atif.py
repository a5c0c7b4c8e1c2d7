"""Documents of the Agent Trajectory Interchange Format (ATIF) v1.8, one for each talk.

The format is linear: the branches of a search are documents of one session, and the steps that a
later branch shares with an earlier one are marked as copied context, which is not to be trained on
again.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from agentbench_agents.export.chat import provenance
from agentbench_agents.export.conversations import Conversation, Turn
from agentbench_agents.run import RunResult

VERSION = "ATIF-v1.8"
_SOURCES = {"system": "system", "user": "user", "assistant": "agent"}


def atif_documents(
    result: RunResult, conversations: Sequence[Conversation]
) -> Iterator[dict[str, Any]]:
    """Yield documents that the published schema accepts."""
    for number, talk in enumerate(conversations, 1):
        steps = _steps(talk)
        agent: dict[str, Any] = {
            "name": result.agent,
            "version": result.versions.get("agentbench-agents", "unknown"),
        }
        if result.model is not None:
            agent["model_name"] = result.model
        if talk.tools:
            agent["tool_definitions"] = list(talk.tools)
        yield {
            "schema_version": VERSION,
            "session_id": result.run_id,
            "trajectory_id": f"{result.run_id}/{number}",
            "agent": agent,
            "steps": steps,
            "final_metrics": _totals(steps),
            "extra": provenance(result),
        }


def _steps(talk: Conversation) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for turn in talk.turns:
        message = turn.message
        if message["role"] == "tool" and _answer(steps, message):
            continue
        step: dict[str, Any] = {
            "step_id": len(steps) + 1,
            "source": _SOURCES.get(message["role"], "user"),
            "message": message["content"],
        }
        if turn.repeated:
            step["is_copied_context"] = True
        if step["source"] == "agent":
            step.update(_said(turn, modelled=talk.modelled))
        steps.append(step)
    return steps


def _answer(steps: list[dict[str, Any]], message: dict[str, Any]) -> bool:
    """Put a tool's answer into the step that called it, if that is the last of the agent."""
    asked = next((s for s in reversed(steps) if s["source"] == "agent"), None)
    known = {c["tool_call_id"] for c in asked.get("tool_calls", ())} if asked else set[str]()
    if asked is None or message["tool_call_id"] not in known:
        return False
    observation: dict[str, Any] = asked.setdefault("observation", {"results": []})
    observation["results"].append(
        {"source_call_id": message["tool_call_id"], "content": message["content"]}
    )
    return True


def _said(turn: Turn, *, modelled: bool) -> dict[str, Any]:
    event = turn.event
    found: dict[str, Any] = {"llm_call_count": 1 if modelled else 0}
    if calls := turn.message.get("tool_calls"):
        found["tool_calls"] = [_call(call) for call in calls]
    if turn.reward is not None:
        found["extra"] = {"reward": turn.reward}
    if not modelled:
        return found
    if event.get("reasoning"):
        found["reasoning_content"] = event["reasoning"]
    metrics = {
        "prompt_tokens": event.get("prompt_tokens"),
        "completion_tokens": event.get("completion_tokens"),
        "cost_usd": event.get("cost_usd"),
        "prompt_token_ids": None if turn.prompt_ids is None else list(turn.prompt_ids),
        "completion_token_ids": event.get("token_ids"),
        "logprobs": event.get("logprobs"),
    }
    found["metrics"] = {name: value for name, value in metrics.items() if value is not None}
    return found


def _call(call: dict[str, Any]) -> dict[str, Any]:
    """Return a tool call; arguments that are no JSON object are kept as they were written."""
    text = call["function"]["arguments"]
    found: dict[str, Any] = {
        "tool_call_id": call["id"],
        "function_name": call["function"]["name"],
    }
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    if isinstance(arguments, dict):
        return {**found, "arguments": arguments}
    return {**found, "arguments": {}, "extra": {"unparsed_arguments": text}}


def _totals(steps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {"total_steps": len(steps)}
    for name in ("prompt_tokens", "completion_tokens", "cost_usd"):
        known = [s["metrics"][name] for s in steps if name in s.get("metrics", {})]
        if known:
            totals[f"total_{name}"] = sum(known)
    return totals
