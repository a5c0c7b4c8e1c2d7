"""The README's example runs and prints what the README says."""

import contextlib
import io
import re
from pathlib import Path


def test_the_example_prints_what_the_readme_shows() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", readme, flags=re.DOTALL)
    assert found is not None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(found.group(1), "README.md", "exec"), {})  # noqa: S102 (our own README)
    assert printed.getvalue() == found.group(2)
