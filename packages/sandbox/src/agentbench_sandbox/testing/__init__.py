"""The suites any back end must pass, for authors of back ends to run against their own.

Each case is a function that takes an open sandbox and asserts. A case says which capabilities it
needs; `missing` names those a back end does not claim:

    @pytest.mark.parametrize("case", CONFORMANCE + HOSTILITY, ids=lambda case: case.__name__)
    def test_case(case, sandbox):
        if lacking := missing(case, sandbox):
            pytest.skip(f"{sandbox.backend} does not claim {lacking}")
        case(sandbox)

The sandbox must be opened with `TESTING_LIMITS`; a case leaves it usable for the next.
"""

from agentbench_sandbox.testing.case import TESTING_LIMITS, Case, missing
from agentbench_sandbox.testing.conformance import CONFORMANCE
from agentbench_sandbox.testing.hostile_attributes import HOSTILE_ATTRIBUTES
from agentbench_sandbox.testing.hostile_files import HOSTILE_FILES
from agentbench_sandbox.testing.hostile_processes import HOSTILE_PROCESSES
from agentbench_sandbox.testing.intrusion import INTRUSION
from agentbench_sandbox.testing.trespass import TRESPASS

HOSTILITY = HOSTILE_PROCESSES + HOSTILE_FILES + HOSTILE_ATTRIBUTES + INTRUSION + TRESPASS

__all__ = ["CONFORMANCE", "HOSTILITY", "TESTING_LIMITS", "Case", "missing"]
