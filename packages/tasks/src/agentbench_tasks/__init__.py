"""Machine-learning tasks as data: schema, catalogue, preparation, leak checks, grading."""

from agentbench_tasks.research import ResearchTask
from agentbench_tasks.research import load_research as load_task
from agentbench_tasks.research import research_names as task_names
from agentbench_tasks.research_data import PreparedResearch, prepare_research
from agentbench_tasks.research_data import prepare_research as prepare
from agentbench_tasks.research_score import Evaluation, InvalidOutputError, score_outputs

__all__ = [
    "Evaluation",
    "InvalidOutputError",
    "PreparedResearch",
    "ResearchTask",
    "load_task",
    "prepare",
    "prepare_research",
    "score_outputs",
    "task_names",
]
