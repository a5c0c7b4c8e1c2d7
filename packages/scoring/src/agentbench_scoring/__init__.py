"""Metrics, human leaderboards, statistics and reports for agent benchmarks."""

from agentbench_scoring.aggregate import (
    AgentSummary,
    Aggregates,
    Estimate,
    aggregate,
)
from agentbench_scoring.compare import (
    Comparison,
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
    better_than_people,
    near_duplicate,
    similar_code,
)
from agentbench_scoring.intervals import (
    Interval,
    clustered_se,
    sem,
    t_interval,
    wilson_interval,
)
from agentbench_scoring.issue import (
    Issue,
)
from agentbench_scoring.judge import (
    Dimension,
    judge,
    judge_correlation,
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
from agentbench_scoring.power import (
    Variation,
    minimum_detectable_effect,
    paired_power,
    pilot_variation,
    tasks_needed,
)
from agentbench_scoring.profile import (
    aup,
    aup_mledojo,
    aup_mlgym,
    mlgym_tau_max,
    performance_profile,
    score_distribution,
)
from agentbench_scoring.ratings import (
    bradley_terry,
    clustered_bradley_terry,
    elo,
)
from agentbench_scoring.reading import (
    Limits,
)
from agentbench_scoring.report import (
    Report,
    build_report,
)
from agentbench_scoring.report_files import (
    write_report,
)
from agentbench_scoring.research import (
    CapabilityLevel,
    absolute_improvement_to_baseline,
    airs_normalized_score,
    capability_level,
    re_bench_normalized_score,
    relative_complexity,
    relative_improvement_to_human,
    relative_runtime,
    submission_complexity,
    summarize_trials,
)
from agentbench_scoring.results import (
    Results,
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
    nemenyi_critical_difference,
    paired_difference,
    sign_test,
    wilcoxon_signed_rank,
)
from agentbench_scoring.similarity import CodeSimilarity, code_similarity
from agentbench_scoring.submission import (
    SubmissionSpec,
    TargetSpec,
)

__all__ = [
    "AgentSummary",
    "Aggregates",
    "BoardIssue",
    "BoardPosition",
    "CapabilityLevel",
    "CodeSimilarity",
    "Comparison",
    "DegenerateLeaderboardError",
    "Dimension",
    "Estimate",
    "Finding",
    "Interval",
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
    "Report",
    "Results",
    "Score",
    "Scorer",
    "ScoringError",
    "SubmissionSpec",
    "TargetSpec",
    "UndefinedMetricError",
    "UnknownMetricError",
    "Variation",
    "absolute_improvement_to_baseline",
    "adjust_pvalues",
    "aggregate",
    "airs_normalized_score",
    "align",
    "aup",
    "aup_mledojo",
    "aup_mlgym",
    "best_of_k",
    "better_than_people",
    "bradley_terry",
    "build_report",
    "capability_level",
    "clustered_bradley_terry",
    "clustered_se",
    "code_similarity",
    "compare",
    "compare_all",
    "diagnose_scores",
    "elo",
    "friedman",
    "get_metric",
    "human_rank",
    "iqm",
    "judge",
    "judge_correlation",
    "leaderboard_position",
    "list_metrics",
    "mcnemar",
    "mean_win_rate",
    "medal",
    "medal_cutoffs",
    "minimum_detectable_effect",
    "mlgym_tau_max",
    "near_duplicate",
    "nemenyi_critical_difference",
    "normalized_regret",
    "optimality_gap",
    "paired_difference",
    "paired_power",
    "pass_at_k",
    "pass_hat_k",
    "performance_profile",
    "pilot_variation",
    "probability_of_improvement",
    "re_bench_normalized_score",
    "read_results",
    "register_metric",
    "relative_complexity",
    "relative_improvement_to_human",
    "relative_runtime",
    "score_distribution",
    "score_submission",
    "sem",
    "sign_test",
    "similar_code",
    "submission_complexity",
    "summarize_trials",
    "t_interval",
    "tasks_needed",
    "validate",
    "wilcoxon_signed_rank",
    "wilson_interval",
    "write_report",
]
