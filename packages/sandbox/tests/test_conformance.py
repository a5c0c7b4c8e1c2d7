"""The conformance suite on every back end."""

from collections.abc import Iterator

import pytest

from agentbench_sandbox import Limits, Request, Sandbox, local
from agentbench_sandbox.testing import CONFORMANCE, Case

OPENERS = {
    "bubblewrap": local.open_bubblewrap,
    "landlock": local.open_landlock,
    "unsafe-local": local.open_unsafe,
}


@pytest.fixture(scope="module", params=list(OPENERS))
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    asked = Request(limits=Limits(output_mib=1), unsafe=request.param == "unsafe-local")
    with OPENERS[request.param](asked) as opened:
        yield opened


@pytest.mark.parametrize("case", CONFORMANCE, ids=lambda case: case.__name__)
def test_conformance(case: Case, sandbox: Sandbox) -> None:
    case(sandbox)
