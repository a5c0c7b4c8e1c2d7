"""Every metric that another library has, against that library, on random data with ties."""
# scipy, scikit-learn and pycocotools have no complete types
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false
# pyright: reportArgumentType=false

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from rapidfuzz.distance import Levenshtein
from scipy import stats
from scipy.spatial.distance import directed_hausdorff
from sklearn import metrics as sk

from agentbench_scoring import InvalidInputError, get_metric

N = 300
Case = tuple[Any, Any, dict[str, Any], float]
Make = Callable[[np.random.Generator], Case]


def _binary(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.integers(0, 2, N), np.round(rng.normal(size=N), 1)


def _chances(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.integers(0, 2, N), rng.uniform(size=N).round(2).clip(0.01, 0.99)


def _labels(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.choice([1, 2, 4, 7], N), rng.choice([1, 2, 4, 9], N)


def _real(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.gamma(2, size=N).round(1) + 0.1, rng.gamma(2, size=N).round(1)


def _table(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.gamma(2, size=(N, 3)).round(1), rng.gamma(2, size=(N, 3)).round(1)


def _masks(rng: np.random.Generator) -> tuple[Any, Any]:
    true = rng.uniform(size=(20, 9, 11)) < 0.4
    return true, true ^ (rng.uniform(size=true.shape) < 0.2)


def _rle(mask: Any) -> str:
    flat = np.concatenate([[0], mask.ravel(order="F").astype(int), [0]])
    edges = np.flatnonzero(np.diff(flat))
    return " ".join(f"{a + 1} {b - a}" for a, b in zip(edges[::2], edges[1::2], strict=True))


def _against(
    draw: Callable[[np.random.Generator], tuple[Any, Any]],
    reference: Callable[[Any, Any], Any],
    **params: Any,
) -> Make:
    def make(rng: np.random.Generator) -> Case:
        true, pred = draw(rng)
        return true, pred, params, float(reference(true, pred))

    return make


def _fuzz_gini(true: Any, pred: Any) -> float:
    return 2 * sk.roc_auc_score(true, pred) - 1


def _one_hot_loss(rng: np.random.Generator) -> Case:
    true = rng.integers(0, 4, N)
    raw = rng.uniform(0.01, 1, size=(N, 4))
    rows = raw / raw.sum(axis=1, keepdims=True)
    return true, raw, {}, float(sk.log_loss(true, rows, labels=[0, 1, 2, 3]))


def _balanced(true: Any, pred: Any) -> float:
    weight = np.where(true == 1, 0.5 / true.mean(), 0.5 / (1 - true.mean()))
    return sk.log_loss(true, pred, sample_weight=weight)


def _kl(rng: np.random.Generator) -> Case:
    true, pred = rng.dirichlet(np.ones(6), N), rng.dirichlet(np.ones(6), N)
    return true, pred, {}, float(stats.entropy(true, pred, axis=1).mean())


def _labelled(rng: np.random.Generator) -> tuple[Any, Any]:
    true = rng.integers(0, 2, size=(N, 5))
    true[true.sum(axis=1) == 0, 0] = 1
    return true, rng.normal(size=(N, 5)).round(1)


def _lwlrap(true: Any, pred: Any) -> float:
    return sk.label_ranking_average_precision_score(true, pred, sample_weight=true.sum(axis=1))


def _dice(rng: np.random.Generator) -> Case:
    true, pred = _masks(rng)
    scores: list[float] = []
    for a, b in zip(true, pred, strict=True):
        codes = [coco.encode(np.asfortranarray(m.astype(np.uint8))) for m in (a, b)]
        shared = float(coco.area(coco.merge(codes, intersect=True)))
        scores.append(2 * shared / float(coco.area(codes).sum()))
    params = {"height": 9, "width": 11}
    return [_rle(m) for m in true], [_rle(m) for m in pred], params, float(np.mean(scores))


def _mask_iou(rng: np.random.Generator) -> Case:
    true, pred = _masks(rng)
    scores: list[float] = []
    for a, b in zip(true, pred, strict=True):
        codes = [coco.encode(np.asfortranarray(m.astype(np.uint8))) for m in (a, b)]
        iou = float(np.squeeze(coco.iou([codes[0]], [codes[1]], [0])))
        scores.append(float(np.mean([iou > t + 1e-9 for t in np.arange(0.5, 1, 0.05)])))
    params = {"heights": 9, "widths": [11] * 20}
    return [_rle(m) for m in true], [_rle(m) for m in pred], params, float(np.mean(scores))


def _voxels(rng: np.random.Generator) -> Case:
    true, pred = (rng.uniform(size=(4, 6, 7)) < 0.1 for _ in range(2))
    true[0, 0, 0] = pred[3, 5, 6] = True
    a, b = (np.argwhere(m) / np.array(true.shape) for m in (true, pred))
    expected = max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])
    return true.astype(int).tolist(), pred.astype(int).tolist(), {}, expected


def _words(rng: np.random.Generator) -> tuple[Any, Any]:
    draw = lambda: ["".join(rng.choice(list("abcé "), rng.integers(0, 9))) for _ in range(40)]  # noqa: E731 (called twice)
    return draw(), draw()


def _multilabel(rng: np.random.Generator) -> Case:
    true, pred = (rng.integers(0, 2, size=(60, 5)) for _ in range(2))
    as_text = [[" ".join(f"l{k}" for k in np.flatnonzero(row)) for row in m] for m in (true, pred)]
    expected = sk.f1_score(true, pred, average="micro")
    return as_text[0], as_text[1], {}, float(expected)


def _samples(rng: np.random.Generator) -> Case:
    true, pred = (rng.integers(0, 2, size=(60, 5)) for _ in range(2))
    as_text = [[" ".join(f"l{k}" for k in np.flatnonzero(row)) for row in m] for m in (true, pred)]
    expected = sk.f1_score(true, pred, average="samples", zero_division=1.0)
    return as_text[0], as_text[1], {}, float(expected)


def _crps(rng: np.random.Generator) -> Case:
    true, mean, std = rng.normal(size=20), rng.normal(size=20), rng.uniform(0.5, 2, 20)
    grid = np.linspace(-15, 15, 60_001)
    scores = [
        np.trapezoid((stats.norm.cdf(grid, m, s) - (grid >= y)) ** 2, grid)
        for y, m, s in zip(true, mean, std, strict=True)
    ]
    return true, {"mean": mean, "std": std}, {}, float(np.mean(scores))


def _ensemble(rng: np.random.Generator) -> Case:
    true, members = rng.normal(size=30), rng.normal(size=(30, 7))
    spread = np.abs(members[:, :, None] - members[:, None, :]).mean(axis=(1, 2)) / 2
    return true, members, {}, float((np.abs(members - true[:, None]).mean(1) - spread).mean())


def _laplace(rng: np.random.Generator) -> Case:
    true, value, sigma = rng.normal(2500, 300, 50), rng.normal(2500, 300, 50), np.full(50, 200.0)
    expected = stats.laplace.logpdf(value, true, sigma / math.sqrt(2)).mean() - math.log(2) / 1
    # Laplace's normaliser is 1/(2b) = 1/(√2 σ): the metric's term ln(√2 σ) is that one
    expected += math.log(2)
    return true, {"value": value, "confidence": sigma}, {"max_delta": 1e9}, float(expected)


CASES: dict[str, tuple[str, Make, float]] = {
    "roc_auc": ("roc_auc", _against(_binary, sk.roc_auc_score), 1e-12),
    "gini": ("gini_normalized", _against(_binary, _fuzz_gini), 1e-12),
    "average_precision": (
        "average_precision",
        _against(_binary, sk.average_precision_score),
        1e-12,
    ),
    "roc_auc_columns": ("roc_auc_columns", _against(_labelled, sk.roc_auc_score), 1e-12),
    "weighted_auc, one band": (
        "weighted_auc",
        _against(_binary, sk.roc_auc_score, tpr_thresholds=[0, 1], weights=[3]),
        1e-12,
    ),
    "log_loss": ("log_loss", _against(_chances, sk.log_loss), 1e-12),
    "log_loss_multiclass": ("log_loss_multiclass", _one_hot_loss, 1e-12),
    "balanced_log_loss": ("balanced_log_loss", _against(_chances, _balanced), 1e-12),
    "brier": ("brier_score", _against(_chances, sk.brier_score_loss), 1e-12),
    "kl": ("kl_divergence", _kl, 1e-9),
    "crps_gaussian": ("crps_gaussian", _crps, 1e-4),
    "crps_ensemble": ("crps_ensemble", _ensemble, 1e-12),
    "laplace": ("laplace_log_likelihood", _laplace, 1e-9),
    "accuracy": ("accuracy", _against(_labels, sk.accuracy_score), 1e-12),
    "balanced_accuracy": (
        "balanced_accuracy",
        _against(
            lambda rng: (rng.integers(0, 3, N), rng.integers(0, 3, N)), sk.balanced_accuracy_score
        ),
        1e-12,
    ),
    "f1": (
        "f1",
        _against(lambda rng: (rng.integers(0, 2, N), rng.integers(0, 2, N)), sk.f1_score),
        1e-12,
    ),
    "fbeta": (
        "fbeta",
        _against(
            lambda rng: (rng.integers(0, 2, N), rng.integers(0, 2, N)),
            lambda a, b: sk.fbeta_score(a, b, beta=0.5),
            beta=0.5,
        ),
        1e-12,
    ),
    "f1_macro": (
        "f1_macro",
        _against(_labels, lambda a, b: sk.f1_score(a, b, average="macro", zero_division=0)),
        1e-12,
    ),
    "f1_macro of a list": (
        "f1_macro",
        _against(
            _labels,
            lambda a, b: sk.f1_score(a, b, labels=[1, 2, 3], average="macro", zero_division=0),
            labels=[1, 2, 3],
        ),
        1e-12,
    ),
    "f1_micro": ("f1_micro", _against(_labels, sk.accuracy_score), 1e-12),
    "recall_macro": (
        "recall_macro",
        _against(_labels, lambda a, b: sk.recall_score(a, b, average="macro", zero_division=0)),
        1e-12,
    ),
    "mcc": ("mcc", _against(_labels, sk.matthews_corrcoef), 1e-12),
    "quadratic kappa": (
        "quadratic_weighted_kappa",
        _against(
            _labels,
            lambda a, b: sk.cohen_kappa_score(a, b, labels=range(10), weights="quadratic"),
            min_rating=0,
            max_rating=9,
        ),
        1e-12,
    ),
    "linear kappa": (
        "linear_weighted_kappa",
        _against(
            _labels, lambda a, b: sk.cohen_kappa_score(a, b, labels=range(10), weights="linear")
        ),
        1e-12,
    ),
    "mse": ("mse", _against(_real, sk.mean_squared_error), 1e-12),
    "rmse": ("rmse", _against(_real, sk.root_mean_squared_error), 1e-12),
    "mae": ("mae", _against(_real, sk.mean_absolute_error), 1e-12),
    "median_absolute_error": (
        "median_absolute_error",
        _against(_real, sk.median_absolute_error),
        1e-12,
    ),
    "r2": ("r2", _against(_real, sk.r2_score), 1e-12),
    "rmsle": ("rmsle", _against(_real, sk.root_mean_squared_log_error), 1e-12),
    "mcrmse": ("mcrmse", _against(_table, sk.root_mean_squared_error), 1e-12),
    "mcrmsle": ("mcrmsle", _against(_table, sk.root_mean_squared_log_error), 1e-12),
    "pinball": (
        "pinball",
        _against(_real, lambda a, b: sk.mean_pinball_loss(a, b, alpha=0.3), alpha=0.3),
        1e-12,
    ),
    "pearson": ("pearson", _against(_real, lambda a, b: stats.pearsonr(a, b)[0]), 1e-12),
    "spearman": ("spearman", _against(_real, lambda a, b: stats.spearmanr(a, b)[0]), 1e-12),
    "kendall_tau_b": (
        "kendall_tau_b",
        _against(_real, lambda a, b: stats.kendalltau(a, b)[0]),
        1e-12,
    ),
    "lwlrap": ("lwlrap", _against(_labelled, _lwlrap), 1e-12),
    "ndcg_graded": (
        "ndcg_graded",
        _against(_labelled, lambda a, b: sk.ndcg_score(a, b, k=3), k=3),
        1e-12,
    ),
    "rle_dice": ("rle_dice", _dice, 1e-12),
    "mask_map_iou": ("mask_map_iou", _mask_iou, 1e-12),
    "hausdorff_3d": ("hausdorff_3d", _voxels, 1e-9),
    "mean_levenshtein": (
        "mean_levenshtein",
        _against(
            _words,
            lambda a, b: np.mean([Levenshtein.distance(x, y) for x, y in zip(a, b, strict=True)]),
        ),
        1e-12,
    ),
    "f1_micro_multilabel": ("f1_micro_multilabel", _multilabel, 1e-12),
    "f1_samples": ("f1_samples", _samples, 1e-12),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference(case: str, seed: int) -> None:
    name, make, tolerance = CASES[case]
    true, pred, params, expected = make(np.random.default_rng(seed))
    assert get_metric(name)(true, pred, **params) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("size", [3, 5_000])
def test_compiled_kernels_agree_with_numpy(size: int) -> None:
    from agentbench_scoring.metrics import auc, classification, compiled

    rng = np.random.default_rng(size)
    values, chosen = rng.integers(0, size, 2 * size).astype(float), rng.random(2 * size) < 0.6
    positive, negative = compiled.split(chosen, values)
    np.testing.assert_array_equal(positive, values[chosen])
    np.testing.assert_array_equal(negative, values[~chosen])
    positive.sort()
    negative.sort()
    expected = auc.wins_and_ties(positive, negative)
    assert compiled.wins_and_ties(positive, negative) == expected
    true, pred = rng.integers(-2, 3, (2, size))
    expected = classification.count_pairs(true, pred, low=-2, k=5)
    np.testing.assert_array_equal(compiled.confusion(true, pred, -2, 5), expected)
    for side in ((true, pred + 3), (true - 1, pred)):
        assert compiled.confusion(*side, -2, 5) is None
        assert classification.count_pairs(*side, low=-2, k=5) is None


def test_labels_that_come_late_are_counted() -> None:
    true = np.r_[np.zeros(70_000, dtype=np.int64), 7, -3]
    pred = np.r_[np.ones(70_000, dtype=np.int64), 7, -3]
    expected = sk.f1_score(true, pred, average="macro", zero_division=0)
    assert get_metric("f1_macro")(true, pred) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, bool, float])
def test_log_loss_takes_labels_of_any_type(dtype: type) -> None:
    rng = np.random.default_rng(5)
    true, chance = rng.integers(0, 2, 40_001), rng.uniform(0, 1, 40_001)
    expected = sk.log_loss(true, np.clip(chance, 1e-15, 1 - 1e-15))
    got = get_metric("log_loss")(true.astype(dtype), chance)
    assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("eps", [1e-300, 1e-17, 1e-15, 1e-3, "auto"])
def test_log_loss_clips_certain_predictions(eps: float | str) -> None:
    true, chance = np.arange(100) % 2, np.where(np.arange(100) % 3 == 0, 0.0, 0.7)
    chance[5:10] = 1.0
    clip = 2.0**-52 if eps == "auto" else float(eps)
    right = np.where(true == 1, chance, 1 - chance).clip(clip, 1 - clip)
    got = get_metric("log_loss")(true, chance, eps=eps)
    assert got == pytest.approx(-np.log(right).mean(), rel=1e-12)


def _rank_columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    normal = rng.normal(size=20_000)
    return {
        "normal": normal,
        "ties": rng.integers(-5, 5, 20_000).astype(float),
        "tiny differences": 1.0 + rng.permutation(20_000) * 2.0**-52,
        "some tiny differences": np.r_[normal, 3.0 + rng.permutation(500) * 2.0**-51],
        "signed zeros and extremes": np.r_[normal, [0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308]],
    }


@pytest.mark.parametrize("name", list(_rank_columns()))
def test_ranks_of_long_columns_are_those_of_scipy(name: str) -> None:
    from agentbench_scoring.metrics.ordering import ranks

    values = _rank_columns()[name]
    before = values.copy()
    np.testing.assert_array_equal(ranks(values), stats.rankdata(values))
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("spread", [4, 40], ids=["many hits", "few hits"])
def test_map_of_long_texts_is_that_of_lists(spread: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentbench_scoring.metrics import compiled, ranking

    monkeypatch.setattr(ranking, "kernels", lambda _size: compiled)  # whatever the size
    rng = np.random.default_rng(spread)
    blanks = [" ", "  ", "\t", "\x1c", "\r "]
    stems = ["w", "long-word-", "\x01", "eight-l"]  # some share all but their first letters
    draw = lambda low, high: [  # noqa: E731 (called twice)
        "".join(
            f"{rng.choice(blanks)}{rng.choice(stems)}{word}{rng.choice(['', '-and-the-rest'])}"
            for word in rng.integers(0, spread, rng.integers(low, high))
        )
        for _ in range(300)
    ]
    true, pred = draw(1, 6), draw(0, 15)
    lists = ([text.split() for text in side] for side in (true, pred))
    expected = get_metric("map_at_k")(*lists, k=7)
    assert get_metric("map_at_k")(true, pred, k=7) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(InvalidInputError, match="row 2 has no relevant item"):
        get_metric("map_at_k")(["a", "b", " "], ["a", "b", "c"], k=7)
    for odd in ("é", "a\nb"):
        assert get_metric("map_at_k")([odd, "c"], [odd, "c"], k=7) == 1
    monkeypatch.setattr(ranking, "kernels", lambda _size: None)
    assert get_metric("map_at_k")(true, pred, k=7) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(InvalidInputError, match="row 2 has no relevant item"):
        get_metric("map_at_k")(["a", "b", " "], ["a", "b", "c"], k=7)
