"""The trivial and strong anchors of the embedded tasks: `python benchmarks/anchors.py [NAME ...]`.

Trivial is the task's own sample submission. Strong is the best of a few scikit-learn models, chosen
and tuned by cross-validation on the training table only, fitted on all of it, and graded on the
private part of the answers. The numbers in `catalogue/lite/*.yaml` are what this prints.
"""

import sys
import tempfile
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LassoCV, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from agentbench_tasks import PreparedTask, grade, load_task, prepare

Prediction = dict[str, Any]


def read(prepared: PreparedTask, name: str) -> pl.DataFrame:
    return pl.read_csv(prepared.public / name)


def tabular(prepared: PreparedTask, target: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    train, test = read(prepared, "train.csv"), read(prepared, "test.csv")
    features = [name for name in test.columns if name != "id"]
    return train[features].to_numpy(), train[target].to_numpy(), test[features].to_numpy()


def tuned(
    models: list[tuple[Any, dict[str, list[Any]]]], x: np.ndarray, y: np.ndarray, scoring: str
) -> Any:  # noqa: ANN401 - scikit-learn is untyped
    searches = [GridSearchCV(m, grid, scoring=scoring, cv=5).fit(x, y) for m, grid in models]
    best = max(searches, key=lambda search: search.best_score_)
    print(f"    cross-validation {scoring} {best.best_score_:.4f}: {best.best_estimator_}")
    return best.best_estimator_


def classify(target: str, scoring: str, *, probability: bool) -> Callable[..., Prediction]:
    def predict(prepared: PreparedTask) -> Prediction:
        x, y, new = tabular(prepared, target)
        model = tuned(
            [
                (
                    make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
                    {"logisticregression__C": [0.01, 0.1, 1, 10]},
                ),
                (
                    make_pipeline(StandardScaler(), SVC(random_state=0)),
                    {"svc__C": [1, 10, 100], "svc__gamma": [0.003, 0.01, 0.03]},
                ),
                (RandomForestClassifier(300, random_state=0), {"max_features": ["sqrt", 0.5]}),
            ],
            x,
            y,
            scoring,
        )
        if not probability:
            return {target: model.predict(new)}
        decide = getattr(model, "decision_function", None)
        return {target: decide(new) if decide else model.predict_proba(new)[:, 1]}

    return predict


def regress(target: str) -> Callable[..., Prediction]:
    def predict(prepared: PreparedTask) -> Prediction:
        x, y, new = tabular(prepared, target)
        model = tuned(
            [
                (make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1, 10, 100]}),
                (make_pipeline(StandardScaler(), LassoCV(cv=5)), {}),
                (
                    GradientBoostingRegressor(random_state=0, max_depth=2),
                    {"n_estimators": [100, 300], "learning_rate": [0.03, 0.1]},
                ),
            ],
            x,
            y.astype(float),
            "neg_root_mean_squared_error",
        )
        return {target: model.predict(new)}

    return predict


def office(prepared: PreparedTask) -> Prediction:
    train, test = read(prepared, "train.csv"), read(prepared, "test.csv")
    model = tuned(
        [
            (
                make_pipeline(CountVectorizer(), MultinomialNB()),
                {"multinomialnb__alpha": [0.1, 1, 3]},
            )
        ],
        train["text"].to_list(),
        train["office"].to_numpy(),
        "accuracy",
    )
    return {"office": model.predict(test["text"].to_list())}


def calendar(frame: pl.DataFrame, first: date) -> np.ndarray:
    """Product, promotion, weekday, place in the year, and days since the first."""
    days = frame["date"].str.to_date()
    number = (days - first).dt.total_days().to_numpy()
    week, year = 2 * np.pi * number / 7, 2 * np.pi * number / 365.25
    product = np.eye(12)[frame["product"].to_numpy()]
    season = np.column_stack([np.sin(week), np.cos(week), np.sin(year), np.cos(year)])
    by_product = (product[:, :, None] * season[:, None, :]).reshape(len(frame), -1)
    return np.column_stack([product, by_product, frame["promotion"].to_numpy(), number / 365.25])


def sold(prepared: PreparedTask) -> Prediction:
    train, test = read(prepared, "train.csv"), read(prepared, "test.csv")
    first = train["date"].str.to_date().min()
    search = GridSearchCV(
        PoissonRegressor(max_iter=5000),
        {"alpha": [1e-5, 1e-4, 1e-3, 1e-2]},
        scoring="neg_mean_absolute_error",
        cv=TimeSeriesSplit(5),
    ).fit(calendar(train, first), train["sold"].to_numpy())
    print(f"    cross-validation MAE {-search.best_score_:.4f}: {search.best_estimator_}")
    return {"sold": search.predict(calendar(test, first))}


def conditions(prepared: PreparedTask) -> Prediction:
    train, test = read(prepared, "train.csv"), read(prepared, "test.csv")
    signs = [name for name in test.columns if name != "id"]
    scores: dict[str, float] = {}
    for number in range(1, 6):
        name = f"condition_{number}"
        model = tuned(
            [
                (
                    make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
                    {"logisticregression__C": [0.01, 0.1, 1]},
                ),
                (RandomForestClassifier(300, random_state=0), {"max_features": ["sqrt", 0.5]}),
            ],
            train[signs].to_numpy(),
            train[name].to_numpy(),
            "roc_auc",
        )
        chance = model.predict_proba(test[signs].to_numpy())[:, 1]
        scores |= {f"{row}_{name}": p for row, p in zip(test["id"], chance, strict=True)}
    rows = read(prepared, "sample_submission.csv")["row_id"]
    return {"score": [scores[row] for row in rows]}


def preferred(prepared: PreparedTask) -> Prediction:
    """A linear model of the difference of squared distances, learnt per coordinate."""

    def distances(frame: pl.DataFrame) -> np.ndarray:
        parts = [
            frame[[f"{name}_{i}" for i in range(1, 5)]].to_numpy()
            for name in ("query", "first", "second")
        ]
        return (parts[2] - parts[0]) ** 2 - (parts[1] - parts[0]) ** 2

    train, test = read(prepared, "train.csv"), read(prepared, "test.csv")
    model = tuned(
        [(LogisticRegression(), {"C": [0.01, 0.1, 1, 10]})],
        distances(train),
        train["first_preferred"].to_numpy(),
        "roc_auc",
    )
    return {"first_preferred": model.decision_function(distances(test))}


STRONG: dict[str, Callable[..., Prediction]] = {
    "digits": classify("digit", "accuracy", probability=False),
    "breast-cancer": classify("malignant", "roc_auc", probability=True),
    "diabetes": regress("progression"),
    "wine": classify("cultivar", "accuracy", probability=False),
    "grades": classify("grade", "neg_mean_absolute_error", probability=False),
    "reports": office,
    "demand": sold,
    "symptoms": conditions,
    "preference": preferred,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        for name in sys.argv[1:] or STRONG:
            prepared = prepare(load_task(name), root)
            trivial = grade(prepared, prepared.public / "sample_submission.csv")
            sample = read(prepared, "sample_submission.csv")
            prediction = STRONG[name](prepared)
            columns = [pl.Series(key, np.asarray(value)) for key, value in prediction.items()]
            strong = grade(prepared, sample.with_columns(columns))
            print(f"{name}: trivial {trivial.score:.5f}, strong {strong.score:.5f}")


if __name__ == "__main__":
    main()
