"""How many requests a provider gets at once and per minute: adaptive, shared by all threads.

Concurrency follows additive increase, multiplicative decrease (Chiu and Jain 1989): every answered
request adds 1/limit, so that a full round adds one slot; being throttled halves the limit, once per
round, because all requests in flight fail together. Rates are token buckets that hold one minute.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

_MINUTE_S = 60.0


class Gate:
    """Admits requests to one provider. Give the same gate to all models that share an account.

    Args:
        most: The most requests in flight, at any time.
        start: Requests in flight to begin with.
        requests_per_minute: The account's limit, or ``None``.
        tokens_per_minute: The account's limit, or ``None``; requests are booked with an estimate.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        *,
        most: int = 64,
        start: int = 8,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 1 <= start <= most:
            raise ValueError(f"need 1 <= start <= most, got start={start} and most={most}")
        self._most = most
        self._limit = float(start)
        self._in_flight = 0
        self._clock = clock
        self._round = (
            0  # grows with every halving; a request that began before does not halve again
        )
        self._paused_until = float("-inf")
        self._requests = _Bucket(requests_per_minute, clock())
        self._tokens = _Bucket(tokens_per_minute, clock())
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @contextmanager
    def admit(self, tokens: int = 0) -> Generator["Slot"]:
        """Wait for a slot and hold it.

        Leaving counts as an answered request, unless an exception passes or `Slot.failed` was told.
        """
        slot = Slot(round_=self._enter(tokens))
        try:
            yield slot
        except BaseException:
            self._leave(slot, answered=False)
            raise
        self._leave(slot, answered=slot.answered)

    def _enter(self, tokens: int) -> int:
        with self._changed:
            while (delay := self._delay(tokens)) is None or delay > 0:
                self._changed.wait(delay)
            self._in_flight += 1
            self._requests.take(1)
            self._tokens.take(tokens)
            return self._round

    def _delay(self, tokens: int) -> float | None:
        """Seconds until a request may start; ``None`` until another one ends."""
        if self._in_flight >= int(self._limit):
            return None
        now = self._clock()
        return max(
            self._paused_until - now, self._requests.delay(1, now), self._tokens.delay(tokens, now)
        )

    def _leave(self, slot: "Slot", *, answered: bool) -> None:
        with self._changed:
            self._in_flight -= 1
            if answered:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
            if slot.throttled and slot.round == self._round:
                self._limit = max(1.0, self._limit / 2)
                self._round += 1
            self._paused_until = max(self._paused_until, self._clock() + slot.retry_after_s)
            self._changed.notify_all()


class Slot:
    """One admitted request."""

    def __init__(self, *, round_: int) -> None:
        self.round = round_
        self.answered = True
        self.throttled = False
        self.retry_after_s = 0.0

    def failed(self, *, throttled: bool = False, retry_after_s: float | None = None) -> None:
        """Say that the request was not answered.

        Args:
            throttled: The provider asked for fewer requests: the gate's limit halves.
            retry_after_s: The provider asked for silence: nobody is admitted for so long.
        """
        self.answered = False
        self.throttled = throttled
        self.retry_after_s = retry_after_s or 0.0


class _Bucket:
    """Holds one minute's worth and refills evenly; ``None`` is without limit."""

    def __init__(self, per_minute: float | None, now: float) -> None:
        if per_minute is not None and per_minute <= 0:
            raise ValueError(f"a rate per minute must be positive, got {per_minute}")
        self._size = per_minute
        self._level = per_minute or 0.0
        self._at = now

    def delay(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` is there, or the bucket is full."""
        if self._size is None:
            return 0.0
        rate = self._size / _MINUTE_S
        self._level = min(self._size, self._level + (now - self._at) * rate)
        self._at = now
        return max(0.0, (min(amount, self._size) - self._level) / rate)

    def take(self, amount: float) -> None:
        """Book ``amount``; the level may fall below zero."""
        if self._size is not None:
            self._level -= amount
