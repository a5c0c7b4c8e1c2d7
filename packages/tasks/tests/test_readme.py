import contextlib
import io
import re
from pathlib import Path

import pytest

from agentbench_tasks import TasksError, grade, load_task, prepare
from agentbench_tasks.new import guess, write_task

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_example_prints_what_it_says() -> None:
    text = README.read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own README
    said = re.findall(r"`([^`]+)`", text.split("prints ")[1].split("\n")[0])
    assert out.getvalue().splitlines() == said


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 60


def test_a_table_becomes_a_task(tmp_path: Path) -> None:
    csv = tmp_path / "iris like.csv"
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(80))
    csv.write_text("row_id,size,label\n" + rows, "utf-8")
    found = guess(csv)
    assert (found.id_column, found.target, found.metric) == ("row_id", "label", "accuracy")
    path = write_task(found, csv, tmp_path / "my-tasks")
    prepared = prepare(load_task(path), tmp_path / "root")
    assert 0.3 < grade(prepared, prepared.public / "sample_submission.csv").score < 0.7
    assert 'my_tasks = "my_tasks"' in (tmp_path / "my-tasks" / "pyproject.toml").read_text("utf-8")
    with pytest.raises(TasksError, match="exists"):
        write_task(found, csv, tmp_path / "my-tasks")


@pytest.mark.parametrize(
    ("text", "words"), [("", "no CSV table"), ("a,b\n1,2\n", "too few")], ids=["empty", "small"]
)
def test_a_table_that_cannot_be_a_task(tmp_path: Path, text: str, words: str) -> None:
    csv = tmp_path / "t.csv"
    csv.write_text(text, "utf-8")
    with pytest.raises(TasksError, match=words):
        guess(csv)
