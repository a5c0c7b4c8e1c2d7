"""mle-bench (commit 783b15a): what its graders compute, defects included."""

from collections.abc import Callable

from agentbench_scoring.compat.defect import Defect, function_of
from agentbench_scoring.compat.graders import (
    auc_of_thresholded_scores,
    auc_within_unit_interval,
    grouped_log_mae_without_floor,
    jaccard_dividing_by_zero,
    kappa_of_label_indices,
    log_loss_at_float_eps,
    micro_f1,
    micro_f1_over_true_labels,
)
from agentbench_scoring.metrics import get_metric as _exact

DEFECTS: tuple[Defect, ...] = (
    Defect(
        competitions=("jigsaw-unintended-bias-in-toxicity-classification",),
        fault="predictions are cut at 0.5 before the AUC (shown for one AUC of the score)",
        function=auc_of_thresholded_scores,
    ),
    Defect(
        competitions=("tensorflow2-question-answering",),
        fault="micro F1 over 0/1 labels is the accuracy: true negatives count",
        function=_exact("accuracy"),
    ),
    Defect(
        competitions=("plant-pathology-2021-fgvc8",),
        fault="micro F1 where the text says mean F1",
        function=micro_f1,
    ),
    Defect(
        competitions=("facebook-recruiting-iii-keyword-extraction", "imet-2020-fgvc7"),
        fault="classes are taken from the truth: other predicted labels are free",
        function=micro_f1_over_true_labels,
    ),
    Defect(
        competitions=("champs-scalar-coupling",),
        fault="no floor below the logarithm: a perfect group gives -inf",
        function=grouped_log_mae_without_floor,
    ),
    Defect(
        competitions=(
            "aptos2019-blindness-detection",
            "learning-agency-lab-automated-essay-scoring-2",
        ),
        fault="kappa weighs positions among present ratings in place of the ratings",
        function=kappa_of_label_indices,
    ),
    Defect(
        competitions=(
            "dogs-vs-cats-redux-kernels-edition",
            "statoil-iceberg-classifier-challenge",
        ),
        fault="log loss is clipped at the float64 epsilon in place of 1e-15",
        function=log_loss_at_float_eps,
    ),
    Defect(
        competitions=(
            "aerial-cactus-identification",
            "histopathologic-cancer-detection",
            "tabular-playground-series-may-2022",
        ),
        fault="AUC demands scores in [0, 1], which Kaggle does not",
        function=auc_within_unit_interval,
    ),
    Defect(
        competitions=("vinbigdata-chest-xray-abnormalities-detection",),
        fault="corner boxes are read as corner and size, and annotation 0 never matches",
    ),
    Defect(
        competitions=("siim-covid19-detection",),
        fault="misses are added as positives of score 0: nothing right gives 0.5",
    ),
    Defect(
        competitions=("tgs-salt-identification-challenge",),
        fault="an empty prediction on a nearly full mask gives 0.9",
    ),
    Defect(
        competitions=(
            "nomad2018-predict-transparent-conductors",
            "stanford-covid-vaccine",
            "uw-madison-gi-tract-image-segmentation",
            "jigsaw-toxic-comment-classification-challenge",
            "new-york-city-taxi-fare-prediction",
        ),
        fault="rows or columns are aligned by position and not by name",
    ),
    Defect(
        competitions=("predict-volcanic-eruptions-ingv-oe", "osic-pulmonary-fibrosis-progression"),
        fault="subsets or repeats of easy ids are accepted",
    ),
    Defect(
        competitions=("tweet-sentiment-extraction",),
        fault="two empty texts divide by zero",
        function=jaccard_dividing_by_zero,
    ),
)


def get_metric(competition: str) -> Callable[..., float]:
    """The function that mle-bench scores a competition with; see `DEFECTS` for what is wrong.

    Raises:
        UnknownMetricError: No reproduced defect concerns this competition.
    """
    return function_of(DEFECTS, competition, "mle-bench")
