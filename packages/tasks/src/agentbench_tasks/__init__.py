"""Machine-learning tasks as data: schema, catalogue, preparation, leak checks, grading.

Every public name is imported at its first use (PEP 562), so that listing tasks does not wait for
what prepares them. No submodule bears the name of a public function: importing it would hide it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentbench_tasks.catalogue import list_tasks, load_task, task_names
    from agentbench_tasks.description import describe
    from agentbench_tasks.errors import (
        ChangedDataError,
        CredentialsError,
        MissingExtraError,
        PreparationError,
        SourceError,
        TaskFileError,
        TasksError,
        UnknownTaskError,
        UnsafeArchiveError,
    )
    from agentbench_tasks.grading import Grade, grade
    from agentbench_tasks.preparation import PreparedTask, prepare
    from agentbench_tasks.research import ResearchTask, load_research, research_names
    from agentbench_tasks.research_data import PreparedResearch, prepare_research
    from agentbench_tasks.research_score import Evaluation, InvalidOutputError, score_outputs
    from agentbench_tasks.task import (
        Anchor,
        Anchors,
        Command,
        FeedbackPolicy,
        Resources,
        SubmissionTask,
        Task,
    )

_HOME: Final = {
    "Anchor": "task",
    "Anchors": "task",
    "ChangedDataError": "errors",
    "Command": "task",
    "CredentialsError": "errors",
    "Evaluation": "research_score",
    "FeedbackPolicy": "task",
    "Grade": "grading",
    "InvalidOutputError": "research_score",
    "MissingExtraError": "errors",
    "PreparationError": "errors",
    "PreparedResearch": "research_data",
    "PreparedTask": "preparation",
    "ResearchTask": "research",
    "Resources": "task",
    "SourceError": "errors",
    "SubmissionTask": "task",
    "Task": "task",
    "TaskFileError": "errors",
    "TasksError": "errors",
    "UnknownTaskError": "errors",
    "UnsafeArchiveError": "errors",
    "describe": "description",
    "grade": "grading",
    "list_tasks": "catalogue",
    "load_research": "research",
    "load_task": "catalogue",
    "prepare": "preparation",
    "prepare_research": "research_data",
    "research_names": "research",
    "score_outputs": "research_score",
    "task_names": "catalogue",
}

__all__ = [
    "Anchor",
    "Anchors",
    "ChangedDataError",
    "Command",
    "CredentialsError",
    "Evaluation",
    "FeedbackPolicy",
    "Grade",
    "InvalidOutputError",
    "MissingExtraError",
    "PreparationError",
    "PreparedResearch",
    "PreparedTask",
    "ResearchTask",
    "Resources",
    "SourceError",
    "SubmissionTask",
    "Task",
    "TaskFileError",
    "TasksError",
    "UnknownTaskError",
    "UnsafeArchiveError",
    "describe",
    "grade",
    "list_tasks",
    "load_research",
    "load_task",
    "prepare",
    "prepare_research",
    "research_names",
    "score_outputs",
    "task_names",
]

if not TYPE_CHECKING:  # a checker sees the imports above, and so a wrong name

    def __getattr__(name: str) -> object:
        """Import a public name at its first use."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
