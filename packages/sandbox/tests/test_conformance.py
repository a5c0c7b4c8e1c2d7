"""The conformance and hostility suites on every back end."""

import pytest

from agentbench_sandbox import Sandbox
from agentbench_sandbox.testing import CONFORMANCE, HOSTILITY, Case, missing


@pytest.mark.parametrize("case", CONFORMANCE + HOSTILITY, ids=lambda case: case.__name__)
def test_case(case: Case, sandbox: Sandbox) -> None:
    if lacking := missing(case, sandbox):
        pytest.skip(f"{sandbox.backend} does not claim {', '.join(lacking)}")
    case(sandbox)
