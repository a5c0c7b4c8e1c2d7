"""Metrics, human leaderboards, statistics and reports for agent benchmarks.

Every public name is imported at its first use (PEP 562), so that a metric does not wait for
the reports. No submodule bears the name of a public function: importing one would hide it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentbench_scoring.aggregates import (
        AgentSummary,
        Aggregates,
        aggregate,
    )
    from agentbench_scoring.comparison import (
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
        Evidence,
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
    from agentbench_scoring.rubric import (
        Dimension,
        judge,
        judge_correlation,
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
    from agentbench_scoring.specification import (
        SubmissionSpec,
        TargetSpec,
    )
    from agentbench_scoring.task_means import Estimate

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
    "Evidence",
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

_HOME: Final = {
    "AgentSummary": "aggregates",
    "Aggregates": "aggregates",
    "Estimate": "task_means",
    "aggregate": "aggregates",
    "Comparison": "comparison",
    "compare": "comparison",
    "compare_all": "comparison",
    "DegenerateLeaderboardError": "errors",
    "InvalidInputError": "errors",
    "InvalidSubmissionError": "errors",
    "MissingExtraError": "errors",
    "NotIdentifiableError": "errors",
    "ScoringError": "errors",
    "UndefinedMetricError": "errors",
    "UnknownMetricError": "errors",
    "best_of_k": "estimators",
    "iqm": "estimators",
    "mean_win_rate": "estimators",
    "normalized_regret": "estimators",
    "optimality_gap": "estimators",
    "pass_at_k": "estimators",
    "pass_hat_k": "estimators",
    "probability_of_improvement": "estimators",
    "Evidence": "integrity",
    "Finding": "integrity",
    "better_than_people": "integrity",
    "near_duplicate": "integrity",
    "similar_code": "integrity",
    "Interval": "intervals",
    "clustered_se": "intervals",
    "sem": "intervals",
    "t_interval": "intervals",
    "wilson_interval": "intervals",
    "Issue": "issue",
    "Dimension": "rubric",
    "judge": "rubric",
    "judge_correlation": "rubric",
    "BoardIssue": "leaderboard",
    "BoardPosition": "leaderboard",
    "Leaderboard": "leaderboard",
    "Medal": "leaderboard",
    "MedalCutoffs": "leaderboard",
    "diagnose_scores": "leaderboard",
    "human_rank": "leaderboard",
    "leaderboard_position": "leaderboard",
    "medal": "leaderboard",
    "medal_cutoffs": "leaderboard",
    "Metric": "metrics",
    "MetricSpec": "metrics",
    "get_metric": "metrics",
    "list_metrics": "metrics",
    "register_metric": "metrics",
    "Variation": "power",
    "minimum_detectable_effect": "power",
    "paired_power": "power",
    "pilot_variation": "power",
    "tasks_needed": "power",
    "aup": "profile",
    "aup_mledojo": "profile",
    "aup_mlgym": "profile",
    "mlgym_tau_max": "profile",
    "performance_profile": "profile",
    "score_distribution": "profile",
    "bradley_terry": "ratings",
    "clustered_bradley_terry": "ratings",
    "elo": "ratings",
    "Limits": "reading",
    "Report": "report",
    "build_report": "report",
    "write_report": "report_files",
    "CapabilityLevel": "research",
    "absolute_improvement_to_baseline": "research",
    "airs_normalized_score": "research",
    "capability_level": "research",
    "re_bench_normalized_score": "research",
    "relative_complexity": "research",
    "relative_improvement_to_human": "research",
    "relative_runtime": "research",
    "submission_complexity": "research",
    "summarize_trials": "research",
    "Results": "results",
    "read_results": "results",
    "Score": "score",
    "Scorer": "score",
    "align": "score",
    "score_submission": "score",
    "validate": "score",
    "adjust_pvalues": "significance",
    "friedman": "significance",
    "mcnemar": "significance",
    "nemenyi_critical_difference": "significance",
    "paired_difference": "significance",
    "sign_test": "significance",
    "wilcoxon_signed_rank": "significance",
    "CodeSimilarity": "similarity",
    "code_similarity": "similarity",
    "SubmissionSpec": "specification",
    "TargetSpec": "specification",
}


if not TYPE_CHECKING:  # a checker sees the imports above, and so a wrong name

    def __getattr__(name: str) -> object:
        """Import a public name at its first use."""
        if name not in _HOME:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
