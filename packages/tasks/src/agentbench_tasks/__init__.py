"""Machine-learning tasks as data: schema, catalogue, preparation, leak checks, grading."""

from agentbench_tasks.catalogue import list_tasks, load_task, task_names
from agentbench_tasks.describe import describe
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
from agentbench_tasks.grade import Grade, grade
from agentbench_tasks.prepare import PreparedTask, prepare
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
