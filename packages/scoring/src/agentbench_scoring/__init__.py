"""Metrics, human leaderboards, statistics and reports for agent benchmarks."""

from agentbench_scoring.aggregate import Aggregates, aggregate
from agentbench_scoring.compare import compare, compare_all
from agentbench_scoring.errors import (
    InvalidSubmissionError,
    Issue,
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
from agentbench_scoring.intervals import clustered_se, sem, t_interval, wilson_interval
from agentbench_scoring.metrics import Metric, MetricSpec, get_metric, metric_names
from agentbench_scoring.profile import aup, aup_mledojo, aup_mlgym, performance_profile
from agentbench_scoring.ratings import bradley_terry, elo
from agentbench_scoring.report import build_report
from agentbench_scoring.report_files import write_report
from agentbench_scoring.research import relative_improvement_to_human
from agentbench_scoring.results import read_results
from agentbench_scoring.significance import (
    adjust_pvalues,
    friedman,
    mcnemar,
    paired_difference,
    sign_test,
    wilcoxon_signed_rank,
)
from agentbench_scoring.submission import SubmissionSpec, TargetSpec, align, read_submission

__all__ = [
    "Aggregates",
    "InvalidSubmissionError",
    "Issue",
    "Metric",
    "MetricSpec",
    "NotIdentifiableError",
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
    "elo",
    "friedman",
    "get_metric",
    "iqm",
    "mcnemar",
    "mean_win_rate",
    "metric_names",
    "normalized_regret",
    "optimality_gap",
    "paired_difference",
    "pass_at_k",
    "pass_hat_k",
    "performance_profile",
    "probability_of_improvement",
    "read_results",
    "read_submission",
    "relative_improvement_to_human",
    "sem",
    "sign_test",
    "t_interval",
    "wilcoxon_signed_rank",
    "wilson_interval",
    "write_report",
]
