"""What the linter can find: a code, how bad it is, a sentence, and the evidence."""

from typing import Literal

from agentbench_tasks.record import Record

Code = Literal[
    "target-in-public",
    "answers-in-public",
    "sample-is-answers",
    "archive-in-public",
    "answer-in-file-name",
    "train-test-overlap",
    "near-duplicates",
    "one-feature-leak",
    "ids-differ",
    "no-data",
    "few-rows",
    "one-part",
    "answers-not-perfect",
    "order-matters",
    "sample-does-not-grade",
    "sample-off-board",
    "unnormalised-wins",
    "metric-off-board",
    "board-constant",
    "board-truncated",
    "board-duplicate",
    "board-unsorted",
    "not-deterministic",
]

MEANING: dict[Code, str] = {
    "target-in-public": "a target column stands in a public file beside the training data",
    "answers-in-public": "a public file can be joined to the answers",
    "sample-is-answers": "the sample submission holds true answers",
    "archive-in-public": "an archive was left in public",
    "answer-in-file-name": "the names of test files tell the answers",
    "train-test-overlap": "test rows or files stand in the training data too",
    "near-duplicates": "test rows, texts or pictures are nearly those of the training data",
    "one-feature-leak": "row order, id, file size, file time or one column predicts the target",
    "ids-differ": "sample submission, test table and answers do not have the same ids",
    "no-data": "public has no training or no test data",
    "few-rows": "too few test rows to tell agents apart",
    "one-part": "no public part of the answers, so no feedback but validity",
    "answers-not-perfect": "the answers do not get the metric's best score",
    "order-matters": "the same rows in another order get another score",
    "sample-does-not-grade": "the sample submission is invalid or its score undefined",
    "sample-off-board": "the sample submission scores far outside the board",
    "unnormalised-wins": "rows of ones beat the sample: probabilities are not normalised",
    "metric-off-board": "the board's scores cannot come from this metric",
    "board-constant": "every row of the board has one score",
    "board-truncated": "the board has fewer rows than teams took part",
    "board-duplicate": "public and private board are one",
    "board-unsorted": "the board's quantiles are not in order",
    "not-deterministic": "preparing twice gives different files",
}


class Finding(Record):
    """One thing that is wrong with a task.

    Args:
        code: A key of `MEANING`.
        severity: An `error` makes scores meaningless; a `warning` is worth knowing.
        evidence: The file, the column and the number that show it.
    """

    code: Code
    severity: Literal["error", "warning"]
    evidence: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.severity} {self.code}: {self.evidence}"
