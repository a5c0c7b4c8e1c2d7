"""Metrics, human leaderboards, statistics and reports for agent benchmarks."""

from agentbench_scoring.aggregate import (
    Aggregates,
    aggregate,
)
from agentbench_scoring.compare import (
    compare,
    compare_all,
)
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
from agentbench_scoring.estimators import (
    best_of_k,
    iqm,
    mean_win_rate,
    normalized_regret,
    optimality_gap,
    pass_at_k,
    pass_hat_k,
    probability_of_improvement,
)
from agentbench_scoring.integrity import (
    Finding,
)
from agentbench_scoring.intervals import (
    clustered_se,
    sem,
    t_interval,
    wilson_interval,
)
from agentbench_scoring.issue import (
    Issue,
)
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
from agentbench_scoring.profile import (
    aup,
    aup_mledojo,
    aup_mlgym,
    performance_profile,
)
from agentbench_scoring.ratings import (
    bradley_terry,
    elo,
)
from agentbench_scoring.reading import (
    Limits,
)
from agentbench_scoring.report import (
    build_report,
)
from agentbench_scoring.report_files import (
    write_report,
)
from agentbench_scoring.research import (
    relative_improvement_to_human,
)
from agentbench_scoring.results import (
    read_results,
)
from agentbench_scoring.score import (
    Score,
    Scorer,
    align,
    score_submission,
    validate,
)
from agentbench_scoring.significance import (
    adjust_pvalues,
    friedman,
    mcnemar,
    paired_difference,
    sign_test,
    wilcoxon_signed_rank,
)
from agentbench_scoring.submission import (
    SubmissionSpec,
    TargetSpec,
)

__all__ = [
    "Aggregates",
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
    "TargetSpec",
    "UndefinedMetricError",
    "UnknownMetricError",
    "adjust_pvalues",
    "aggregate",
    "align",
    "aup",
    "aup_mledojo",
    "aup_mlgym",
    "best_of_k",
    "bradley_terry",
    "build_report",
    "clustered_se",
    "compare",
    "compare_all",
    "diagnose_scores",
    "elo",
    "friedman",
    "get_metric",
    "human_rank",
    "iqm",
    "leaderboard_position",
    "list_metrics",
    "mcnemar",
    "mean_win_rate",
    "medal",
    "medal_cutoffs",
    "normalized_regret",
    "optimality_gap",
    "paired_difference",
    "pass_at_k",
    "pass_hat_k",
    "performance_profile",
    "probability_of_improvement",
    "read_results",
    "register_metric",
    "relative_improvement_to_human",
    "score_submission",
    "sem",
    "sign_test",
    "t_interval",
    "validate",
    "wilcoxon_signed_rank",
    "wilson_interval",
    "write_report",
]
