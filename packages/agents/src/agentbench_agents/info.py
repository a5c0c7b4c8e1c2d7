"""What an agent may read about its task: MLE-Dojo's information types, public side only."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentbench_agents.actions import Action, signature

if TYPE_CHECKING:
    from agentbench_agents.episode import Episode
    from agentbench_tasks import ResearchTask, SubmissionTask

_ENTRIES = 12


def overview(episode: "Episode") -> str:
    """Return the description of the task."""
    return (episode.prepared.public / "description.md").read_text("utf-8")


def sample_submission(episode: "Episode") -> str:
    """Return the first lines of the sample submission."""
    path = episode.prepared.public / "sample_submission.csv"
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(line for line, _ in zip(file, range(4), strict=False)).rstrip("\n")


def data_structure(episode: "Episode") -> str:
    """Return a tree of the public files with their sizes, and the header of each table."""
    root = episode.prepared.public
    lines = [*_tree(root, ""), ""]
    for table in sorted(root.glob("*.csv")):
        with table.open(encoding="utf-8", errors="replace") as file:
            header = file.readline().rstrip("\n")
        lines.append(f"{table.name}: {header if len(header) <= 400 else header[:400] + ' ...'}")
    return "\n".join(lines)


def data_path(episode: "Episode") -> str:
    """Return where the data is; `input` in the working directory is the same place."""
    return f"{episode.workspace.data_path} (also reachable as ./input)"


def output_path(episode: "Episode") -> str:
    """Return where a program must write its submission."""
    return f"{episode.workspace.output_path} (submission.csv in the working directory)"


def name(episode: "Episode") -> str:
    """Return the name of the task."""
    return episode.task.name


def metadata(episode: "Episode") -> str:
    """Return metric, direction, columns, limits and feedback policy, as JSON."""
    task = episode.task
    return json.dumps(
        {
            "task": task.name,
            "version": task.version,
            "modality": task.modality,
            "task_type": task.task_type,
            "metric": task.metric.name,
            "metric_params": task.metric.params,
            "higher_is_better": task.higher_is_better,
            "id_columns": list(task.submission.id),
            "target_columns": list(task.submission.columns),
            "seconds_per_execution": episode.code_timeout_s,
            "steps": episode.spend.budget.steps,
            "feedback": episode.feedback,
        },
        indent=1,
    )


InfoProvider = Callable[["Episode"], str]
PROVIDERS: Mapping[str, InfoProvider] = MappingProxyType(
    {
        "overview": overview,
        "sample_submission": sample_submission,
        "data_structure": data_structure,
        "data_path": data_path,
        "output_path": output_path,
        "name": name,
        "metadata": metadata,
    }
)


def request_info(info_type: str, episode: "Episode") -> str:
    """Answer one information request; `all` is every type under its heading."""
    if info_type != "all":
        return PROVIDERS[info_type](episode)
    return "\n\n".join(f"## {kind}\n{provider(episode)}" for kind, provider in PROVIDERS.items())


def greeting(
    task: "SubmissionTask | ResearchTask", actions: Sequence[type[Action]], *, steps: int
) -> str:
    """Return the first observation: which task it is, and how to act."""
    lines = "\n".join(f"- {signature(action)}" for action in actions)
    about = f"\n{task.description}\n" if task.kind == "research" else ""
    return (
        f"Task: {task.name} ({task.title}).\n{about}"
        f"You have {steps} steps. Each action is a JSON text "
        '{"action": NAME, "params": {...}}:\n'
        f"{lines}"
    )


def _tree(directory: Path, indent: str) -> list[str]:
    entries = sorted(directory.iterdir(), key=lambda p: (p.is_dir(), p.name))
    lines: list[str] = []
    for entry in entries[:_ENTRIES]:
        if entry.is_dir():
            lines += [f"{indent}{entry.name}/", *_tree(entry, indent + "  ")]
        else:
            lines.append(f"{indent}{entry.name} ({_size(entry.stat().st_size)})")
    if len(entries) > _ENTRIES:
        lines.append(f"{indent}... and {len(entries) - _ENTRIES} more")
    return lines


def _size(n: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
