"""The table of other graders' defects names tests that exist, and all tests of defects."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[2] / "docs" / "scoring-defects.md"


def _defined(pattern: str) -> set[str]:
    return {
        name
        for path in HERE.glob(pattern)
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_every_defect_of_the_table_has_its_test() -> None:
    named = set(re.findall(r"`(test_\w+)`", TABLE.read_text()))
    assert named - _defined("test_*.py") == set()
    assert _defined("test_defects*.py") - named == set()
