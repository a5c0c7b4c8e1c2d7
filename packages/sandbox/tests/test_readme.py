"""The README's example does what its comments say."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_readme_example(capsys: pytest.CaptureFixture[str]) -> None:
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    exec(compile(block[1], str(README), "exec"), {"__name__": "readme"})  # noqa: S102 - the example
    promised = re.findall(r"print\(.*# (.*)", block[1])
    assert capsys.readouterr().out.split() == " ".join(promised).split()


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 60
