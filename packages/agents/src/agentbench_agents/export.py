"""Trajectories as training data: chat messages, and transitions.

* `messages`: one JSON object a line, `{"messages": [...], "tools": [...], "task": ..., ...}`, which
  TRL's SFT, axolotl and `agentbench-irl train` read. A run of a language model is exported as it
  was talked, one sample for each branch; a run of another agent as the talk it would have been,
  observations from the user, actions as tool calls of the assistant.
* `steps`: one JSON object for each environment step, with action, observation, reward and whether
  the episode ended.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agentbench_agents.actions import SUBMISSION_ACTIONS, tool_manifest
from agentbench_agents.campaign import read_campaign
from agentbench_agents.errors import AgentParameterError
from agentbench_agents.run import TRAJECTORY_FILE, RunResult
from agentbench_agents.trajectory import read_trajectory

_Row = dict[str, Any]
_MESSAGE_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name")


def export(
    directory: Path, *, format_: str = "messages", keep: str = "all"
) -> Iterator[dict[str, Any]]:
    """Yield the rows of an output directory's finished runs.

    Args:
        directory: What `agentbench run --out` wrote.
        format_: `messages` or `steps`.
        keep: `all`, `scored`, `best-per-task` (by progress), `score>=X`, `score<=X` or `top-K`.

    Raises:
        AgentParameterError: An unknown format or filter.
        RunDirectoryError: The directory holds no runs, or a trajectory was changed.
    """
    if format_ not in FORMATS:
        raise AgentParameterError(f"unknown format {format_!r}; choose one of {', '.join(FORMATS)}")
    seen: set[str] = set()
    for result in select(read_campaign(directory).results(), keep):
        events = list(read_trajectory(directory / result.run_id / TRAJECTORY_FILE))
        for row in FORMATS[format_](events):
            key = json.dumps(row, sort_keys=True)
            if key not in seen:
                seen.add(key)
                yield {**row, **_provenance(result)}


def select(results: Iterable[RunResult], keep: str) -> list[RunResult]:
    """Filter results.

    Raises:
        AgentParameterError: An unknown filter.
    """
    scored = [r for r in results if r.status != "infra"]
    if keep == "all":
        return scored
    scored = [r for r in scored if r.score is not None]
    if keep == "scored":
        return scored
    if keep == "best-per-task":
        return [_ranked(r for r in scored if r.task == t)[0] for t in _tasks(scored)]
    name, operator, value = _parse(keep)
    if operator == "top-":
        k = int(value)
        return [r for t in _tasks(scored) for r in _ranked(x for x in scored if x.task == t)[:k]]
    sign = 1 if operator == ">=" else -1
    return [r for r in scored if sign * (getattr(r, name) or 0.0) >= sign * value]


def messages(events: Sequence[Mapping[str, Any]]) -> Iterator[_Row]:
    """Yield one conversation for each branch that ends with the assistant."""
    talk = {e["id"]: e for e in events if e["type"] == "message"}
    tools = tool_manifest(SUBMISSION_ACTIONS)
    if not talk:
        yield {"messages": _as_talk(events), "tools": tools}
        return
    parents = {e["parent"] for e in talk.values()}
    for event in talk.values():
        if event["id"] not in parents and event["role"] == "assistant":
            path: list[_Row] = []
            at: Mapping[str, Any] | None = event
            while at is not None:
                path.append({k: at[k] for k in _MESSAGE_FIELDS if k in at})
                at = talk.get(at["parent"])
            yield {"messages": path[::-1], "tools": tools}


def steps(events: Sequence[Mapping[str, Any]]) -> Iterator[_Row]:
    """Yield one row for each step of the environment."""
    actions = {e["step"]: e for e in events if e["type"] == "action"}
    told = [e for e in events if e["type"] == "observation"]
    for before, after in itertools.pairwise(told):
        action = actions.get(after["step"], {})
        yield {
            "step": after["step"],
            "observation": before["text"],
            "action": {k: action[k] for k in ("action", "params", "text") if k in action},
            "reward": after["reward"],
            "next_observation": after["text"],
            "status": after["status"],
            "last": after is told[-1],
        }


FORMATS: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], Iterator[_Row]]] = MappingProxyType(
    {"messages": messages, "steps": steps}
)


def _as_talk(events: Sequence[Mapping[str, Any]]) -> list[_Row]:
    talk: list[_Row] = []
    call: str | None = None
    for event in events:
        if event["type"] == "observation" and call is None:
            talk.append({"role": "user", "content": event["text"]})
        elif event["type"] == "observation":
            talk.append({"role": "tool", "tool_call_id": call, "content": event["text"]})
        elif event["type"] == "action" and "action" in event:
            call = f"call_{event['step']}"
            function = {"name": event["action"], "arguments": json.dumps(event["params"])}
            talk.append(
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": call, "type": "function", "function": function}],
                }
            )
        elif event["type"] == "action":
            call = None
            talk.append({"role": "assistant", "content": event["text"]})
    return talk


def _provenance(result: RunResult) -> _Row:
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


def _tasks(results: Iterable[RunResult]) -> list[str]:
    return list(dict.fromkeys(r.task for r in results))


def _ranked(results: Iterable[RunResult]) -> list[RunResult]:
    return sorted(
        results,
        key=lambda r: (r.score or 0.0) * (1 if r.higher_is_better else -1),
        reverse=True,
    )


def _parse(keep: str) -> tuple[str, str, float]:
    for operator in (">=", "<="):
        name, found, value = keep.partition(operator)
        if found and name in ("score", "human_rank", "margin"):
            try:
                return name, operator, float(value)
            except ValueError:
                break
    if keep.startswith("top-") and keep[4:].isdigit():
        return "", "top-", float(keep[4:])
    raise AgentParameterError(
        f"unknown filter {keep!r}; write all, scored, best-per-task, top-K, or a comparison such "
        "as score>=0.9, human_rank>=0.5 or margin>=90"
    )
