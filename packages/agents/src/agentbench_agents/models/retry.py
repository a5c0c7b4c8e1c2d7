"""Bounded retries: by count and by total time, with full jitter and Retry-After."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from agentbench_agents.models.errors import ModelProtocolError, ModelUnavailableError
from agentbench_agents.models.gate import Gate

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how long to try.

    The wait before attempt n + 1 is uniform on [0, min(longest_wait_s, first_wait_s · 2ⁿ⁻¹)]
    ("full jitter"), or what the provider asked for in Retry-After when that is longer.

    Attributes:
        attempts: The most attempts.
        total_s: Seconds after which no further attempt begins; waiting for a slot is not counted.
        timeout_s: Seconds that one attempt may take, from request to last byte.
        first_wait_s: Upper end of the first wait, in seconds.
        longest_wait_s: Upper end of any wait of our own, in seconds.
    """

    attempts: int = 6
    total_s: float = 900.0
    timeout_s: float = 600.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def call(self, attempt: Callable[[float], T], *, gate: Gate, tokens: int = 0) -> T:
        """Run ``attempt`` until it returns, and give up within the bounds.

        Unavailability is retried while it is retryable. A garbled answer is retried once: a cut
        connection does not repeat itself, a wrong address does.

        Args:
            attempt: Takes the seconds it may use and returns the answer.
            gate: Admits each attempt and learns how it went.
            tokens: Estimated tokens of the request, for the gate's tokens-per-minute limit.

        Raises:
            ModelUnavailableError: Still no answer after the last attempt.
            ModelProtocolError: Garbage twice.
        """
        waited = spent = 0.0
        garbled = False
        for n in range(1, self.attempts + 1):
            with gate.admit(tokens) as slot:
                began = self.clock()
                try:
                    return attempt(self.timeout_s)
                except ModelProtocolError:
                    if garbled or n == self.attempts:
                        raise
                    slot.failed()
                    garbled, failure = True, None
                except ModelUnavailableError as error:
                    slot.failed(throttled=error.throttled, retry_after_s=error.retry_after_s)
                    failure = error
                finally:
                    spent += self.clock() - began
            wait = self._wait(n, failure)
            if failure and (
                n == self.attempts or not failure.retryable or spent + waited + wait > self.total_s
            ):
                raise _given_up(failure, attempts=n, seconds=spent + waited, wait=wait) from None
            self.sleep(wait)
            waited += wait
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, n: int, failure: ModelUnavailableError | None) -> float:
        jittered = self.uniform(0.0, min(self.longest_wait_s, self.first_wait_s * 2.0 ** (n - 1)))
        asked = failure.retry_after_s if failure else None
        return max(jittered, asked or 0.0)


def _given_up(
    failure: ModelUnavailableError, *, attempts: int, seconds: float, wait: float
) -> ModelUnavailableError:
    """The last failure, with what was tried."""
    if not failure.retryable:
        return failure
    tried = f"{attempts} attempt{'s' if attempts > 1 else ''} in {seconds:.0f} s"
    asked = (
        f"; it asks to wait {failure.retry_after_s:g} s"
        if failure.retry_after_s and failure.retry_after_s >= wait
        else ""
    )
    return ModelUnavailableError(
        f"{failure} ({tried}{asked})",
        retry_after_s=failure.retry_after_s,
        throttled=failure.throttled,
        retryable=False,
    )
