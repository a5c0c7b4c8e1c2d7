"""Metrics, human leaderboards, statistics and reports for agent benchmarks."""

from agentbench_scoring.errors import (
    DegenerateLeaderboardError,
    InvalidInputError,
    InvalidSubmissionError,
    MissingExtraError,
    NotIdentifiableError,
    ScoringError,
    UndefinedMetricError,
    UnknownMetricError,
)
from agentbench_scoring.integrity import Finding
from agentbench_scoring.issue import Issue
from agentbench_scoring.leaderboard import (
    BoardIssue,
    BoardPosition,
    Leaderboard,
    Medal,
    MedalCutoffs,
    diagnose_scores,
    human_rank,
    leaderboard_position,
    medal,
    medal_cutoffs,
)
from agentbench_scoring.metrics import (
    Metric,
    MetricSpec,
    get_metric,
    list_metrics,
    register_metric,
)
from agentbench_scoring.reading import Limits
from agentbench_scoring.score import Score, Scorer, score_submission, validate
from agentbench_scoring.submission import SubmissionSpec, Target

__all__ = [
    "BoardIssue",
    "BoardPosition",
    "DegenerateLeaderboardError",
    "Finding",
    "InvalidInputError",
    "InvalidSubmissionError",
    "Issue",
    "Leaderboard",
    "Limits",
    "Medal",
    "MedalCutoffs",
    "Metric",
    "MetricSpec",
    "MissingExtraError",
    "NotIdentifiableError",
    "Score",
    "Scorer",
    "ScoringError",
    "SubmissionSpec",
    "Target",
    "UndefinedMetricError",
    "UnknownMetricError",
    "diagnose_scores",
    "get_metric",
    "human_rank",
    "leaderboard_position",
    "list_metrics",
    "medal",
    "medal_cutoffs",
    "register_metric",
    "score_submission",
    "validate",
]
