"""The trivial and strong anchors of the embedded tasks: `python benchmarks/anchors.py [NAME ...]`.

Trivial is the task's own sample submission. Strong is the best of a few scikit-learn models, chosen
and tuned by cross-validation on the training table only, fitted on all of it, and graded on the
private part of the answers. The numbers in `catalogue/lite/*.yaml` are what this prints.
"""

import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LassoCV, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.multioutput import MultiOutputClassifier
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


def tuned(models: list[tuple[Any, dict[str, list[Any]]]], x: Any, y: Any, scoring: str) -> Any:
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


STRONG: dict[str, Callable[..., Prediction]] = {
    "digits": classify("digit", "accuracy", probability=False),
    "breast-cancer": classify("malignant", "roc_auc", probability=True),
    "diabetes": regress("progression"),
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


__all__ = ["GroupKFold", "MultiOutputClassifier", "TfidfVectorizer"]

if __name__ == "__main__":
    main()
