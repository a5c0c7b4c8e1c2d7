"""MLE-Dojo (commit 667a8fd): what its competition metrics compute, defects included."""

from collections.abc import Callable

from agentbench_scoring.compat.defect import Defect, function_of
from agentbench_scoring.compat.graders import (
    absolute,
    accuracy_in_percent,
    accuracy_with_equal_missing_words,
    correlation_or_zero,
    kappa_of_label_indices,
    kendall_of_any_order,
    kl_checking_the_sum_only,
    log_loss_at_float_eps,
    log_loss_without_normalising,
    map_at_12_counting_repeats,
    mask_precision_at_rounded_iou,
    mean_average_precision_of_columns,
    mean_squared_error,
    micro_f1_over_true_labels,
    skipping_nan,
    squared,
    squared_log,
)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        competitions=(
            "bigquery-geotab-intersection-congestion",
            "commonlitreadabilityprize",
            "denoising-dirty-documents",
            "petfinder-pawpularity-score",
            "playground-series-s3e1",
            "playground-series-s3e8",
            "playground-series-s3e9",
            "tabular-playground-series-jan-2021",
            "yelp-recsys-2013",
            "afsis-soil-properties",
            "feedback-prize-english-language-learning",
        ),
        fault="rows whose prediction is NaN are left out: all NaN but one right row is perfect",
        function=skipping_nan(squared, root=True),
    ),
    Defect(
        competitions=(
            "loan-default-prediction",
            "pubg-finish-placement-prediction",
            "tabular-playground-series-mar-2022",
            "ventilator-pressure-prediction",
        ),
        fault="rows whose prediction is NaN are left out",
        function=skipping_nan(absolute, root=False),
    ),
    Defect(
        competitions=(
            "nomad2018-predict-transparent-conductors",
            "sberbank-russian-housing-market",
            "santander-value-prediction-challenge",
            "covid19-global-forecasting-week-1",
        ),
        fault="predictions below -1 have a NaN logarithm and are left out",
        function=skipping_nan(squared_log, root=True),
    ),
    Defect(
        competitions=("new-york-city-taxi-fare-prediction",),
        fault="mean squared error where the rules say RMSE",
        function=mean_squared_error,
    ),
    Defect(
        competitions=("allstate-purchase-prediction-challenge",),
        fault="accuracy in percent against a board of shares",
        function=accuracy_in_percent,
    ),
    Defect(
        competitions=("freesound-audio-tagging-2019",),
        fault="mean average precision of the columns in place of lwlrap",
        function=mean_average_precision_of_columns,
    ),
    Defect(
        competitions=("h-and-m-personalized-fashion-recommendations",),
        fault="a repeated right guess counts again, so that MAP@12 exceeds 1",
        function=map_at_12_counting_repeats,
    ),
    Defect(
        competitions=(
            "dog-breed-identification",
            "spooky-author-identification",
            "lmsys-chatbot-arena",
            "llm-classification-finetuning",
        ),
        fault="rows are not divided by their sum: a row of ones is nearly perfect",
        function=log_loss_without_normalising,
    ),
    Defect(
        competitions=("hms-harmful-brain-activity-classification",),
        fault="only the row sum is checked: negative and large values give a divergence below 0",
        function=kl_checking_the_sum_only,
    ),
    Defect(
        competitions=(
            "aptos2019-blindness-detection",
            "learning-agency-lab-automated-essay-scoring-2",
            "prudential-life-insurance-assessment",
            "playground-series-s3e5",
        ),
        fault="kappa weighs positions among present ratings in place of the ratings",
        function=kappa_of_label_indices,
    ),
    Defect(
        competitions=("imet-2020-fgvc7",),
        fault="predicted labels that are never true are dropped",
        function=micro_f1_over_true_labels,
    ),
    Defect(
        competitions=(
            "bioresponse",
            "kobe-bryant-shot-selection",
            "quora-question-pairs",
            "statoil-iceberg-classifier-challenge",
        ),
        fault="log loss is clipped at the float64 epsilon in place of 1e-15",
        function=log_loss_at_float_eps,
    ),
    Defect(
        competitions=("google-quest-challenge",),
        fault="a constant column counts as correlation 0",
        function=correlation_or_zero,
    ),
    Defect(
        competitions=(
            "text-normalization-challenge-english-language",
            "text-normalization-challenge-russian-language",
        ),
        fault='"null" equals "NA": both are read as missing',
        function=accuracy_with_equal_missing_words,
    ),
    Defect(
        competitions=("alaska2-image-steganalysis", "flavours-of-physics-kernels-only"),
        fault="weighted AUC with another normaliser and integrated along the other axis",
    ),
    Defect(
        competitions=(
            "uw-madison-gi-tract-image-segmentation",
            "ranzcr-clip-catheter-line-classification",
        ),
        fault="rows are not aligned by id",
    ),
    Defect(
        competitions=("osic-pulmonary-fibrosis-progression",),
        fault="missing rows are allowed: one easy row reaches the maximum",
    ),
    Defect(
        competitions=("siim-covid19-detection", "vinbigdata-chest-xray-abnormalities-detection"),
        fault="1e-6 in the denominator of precision: perfect is 0.999999",
    ),
    Defect(
        competitions=("tgs-salt-identification-challenge",),
        fault="IoU at the threshold counts as a hit, compared in mixed float precision",
        function=mask_precision_at_rounded_iou,
    ),
    Defect(
        competitions=("global-wheat-detection", "airbus-ship-detection"),
        fault="IoU at the threshold counts as a hit",
    ),
    Defect(
        competitions=("AI4Code",),
        fault="repeated cells are accepted: the score falls below -1",
        function=kendall_of_any_order,
    ),
)


def get_metric(competition: str) -> Callable[..., float]:
    """The function that MLE-Dojo scores a competition with; see `DEFECTS` for what is wrong.

    Raises:
        UnknownMetricError: No reproduced defect concerns this competition.
    """
    return function_of(DEFECTS, competition, "MLE-Dojo")
