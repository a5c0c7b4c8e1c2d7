"""The line by which a program tells its own validation metric.

    validation: 0.8731

alone on its line, a finite decimal number, an integer too; the last such line counts. It is read
where the feedback policy shows no score.
"""

import math
import re

_LINE = re.compile(
    r"^validation: ([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[ \t\r]*$", re.MULTILINE
)


def printed_metric(text: str) -> float | None:
    """Return the metric that a program printed, or None.

    It is in the direction of the task's metric: nothing that a model says turns it round.
    """
    found = _LINE.findall(text)
    value = float(found[-1]) if found else math.nan
    return value if math.isfinite(value) else None
