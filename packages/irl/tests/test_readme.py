import contextlib
import io
import re
from pathlib import Path

import agentbench_irl

README = Path(__file__).parents[1] / "README.md"


def test_readme_example_prints_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})  # noqa: S102 - the example of the README
    assert printed.getvalue().splitlines() == re.findall(r"print\(.*# (.*)", code)


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 60


def test_every_public_name_is_there() -> None:
    for name in agentbench_irl.__all__:
        assert getattr(agentbench_irl, name) is not None
