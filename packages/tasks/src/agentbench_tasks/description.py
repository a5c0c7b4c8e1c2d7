"""The text that an agent reads about a task."""

from agentbench_tasks.task import Task


def describe(task: Task) -> str:
    """The text that the agent reads: the problem, the metric, the table to hand in."""
    better = "higher" if task.higher_is_better else "lower"
    params = "".join(f", {key} = {value}" for key, value in task.metric.params.items())
    if (task.metric.offset, task.metric.scale) != (0, 1):
        params += f"; the score is {task.metric.offset:g} + {task.metric.scale:g} x that"
    lines = [
        f"# {task.title}",
        "",
        task.description.strip(),
        "",
        "## Evaluation",
        f"Metric: {task.metric.name}{params} ({better} is better).",
        "",
        "## Submission",
        "A CSV file with one row per id of `sample_submission.csv`, in any order:",
        "",
        *(f"- `{name}`: id" for name in task.submission.id),
        *(f"- `{name}`: {_cell(task, name)}" for name in task.submission.columns),
        "",
    ]
    return "\n".join(lines)


def _cell(task: Task, name: str) -> str:
    column = task.submission.columns[name]
    text = {"float": "a number", "int": "a whole number", "str": "text"}[column.type]
    if column.values and len(column.values) <= 20:
        return f"{text}, one of {', '.join(map(str, column.values))}"
    if column.minimum is not None and column.maximum is not None:
        return f"{text} from {column.minimum:g} to {column.maximum:g}"
    if column.minimum is not None:
        return f"{text}, at least {column.minimum:g}"
    return text
