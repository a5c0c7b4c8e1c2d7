"""Retries and limits on a clock of our own."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.models import ModelProtocolError, ModelUnavailableError
from agentbench_agents.models.endpoint import retry_after
from agentbench_agents.models.gate import Gate
from agentbench_agents.models.retry import Retry

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def retry(clock: Clock, **settings: float) -> Retry:
    return Retry(
        attempts=int(settings.get("attempts", 6)),
        total_s=settings.get("total_s", 900.0),
        clock=clock,
        sleep=clock.sleep,
        uniform=lambda _, high: high,  # the longest wait that jitter allows
    )


def failing(
    clock: Clock, times: int, error: Callable[[], Exception], *, takes: float = 0.0
) -> tuple[Callable[[float], str], list[float]]:
    budgets: list[float] = []

    def attempt(timeout_s: float) -> str:
        budgets.append(timeout_s)
        clock.now += takes
        if len(budgets) <= times:
            raise error()
        return "answer"

    return attempt, budgets


def test_waits_double_up_to_a_minute() -> None:
    clock = Clock()
    attempt, budgets = failing(clock, 8, lambda: ModelUnavailableError("down"))
    gate = Gate(clock=clock)
    assert retry(clock, attempts=9).call(attempt, gate=gate) == "answer"
    assert clock.slept == [1, 2, 4, 8, 16, 32, 60, 60]
    assert budgets == [600.0] * 9


def test_the_last_error_says_what_was_tried() -> None:
    clock = Clock()
    attempt, budgets = failing(clock, 99, lambda: ModelUnavailableError("down"), takes=2)
    with pytest.raises(ModelUnavailableError, match=r"^down \(3 attempts in 9 s\)$") as error:
        retry(clock, attempts=3).call(attempt, gate=Gate(clock=clock))
    assert len(budgets) == 3  # 3 attempts of 2 s and waits of 1 and 2 s
    assert not error.value.retryable


def test_no_attempt_begins_after_the_total() -> None:
    clock = Clock()
    attempt, budgets = failing(clock, 99, lambda: ModelUnavailableError("down"), takes=50)
    with pytest.raises(ModelUnavailableError, match="2 attempts in 101 s"):
        retry(clock, total_s=102).call(attempt, gate=Gate(clock=clock))
    assert len(budgets) == 2


@given(
    attempts=st.integers(1, 8),
    total_s=st.floats(0, 500),
    asked=st.floats(0, 200),
    takes=st.floats(0, 60),
)
def test_count_and_time_are_bounded(
    attempts: int, total_s: float, asked: float, takes: float
) -> None:
    clock = Clock()
    attempt, budgets = failing(
        clock,
        99,
        lambda: ModelUnavailableError("busy", retry_after_s=asked, throttled=True),
        takes=takes,
    )
    gate = Gate(clock=clock)
    with pytest.raises(ModelUnavailableError):
        retry(clock, attempts=attempts, total_s=total_s).call(attempt, gate=gate)
    assert len(budgets) <= attempts
    assert clock.now <= total_s + takes + 1e-6
    assert all(wait >= asked for wait in clock.slept)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (lambda: ModelUnavailableError("quota", retryable=False), 1),
        (lambda: ModelProtocolError("garbage"), 2),
        (lambda: ZeroDivisionError("a bug"), 1),
    ],
    ids=["not retryable", "garbage", "a bug of ours"],
)
def test_what_is_tried_how_often(error: Callable[[], Exception], attempts: int) -> None:
    clock = Clock()
    attempt, budgets = failing(clock, 99, error)
    with pytest.raises(type(error())):
        retry(clock).call(attempt, gate=Gate(clock=clock))
    assert len(budgets) == attempts


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
    ids=str,
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOON) == seconds


def run_round(gate: Gate, requests: int, *, throttled: bool) -> None:
    """So many requests at once, all with the same end."""
    admitted = [gate.admit() for _ in range(requests)]
    slots = [admission.__enter__() for admission in admitted]
    for slot, admission in zip(slots, admitted, strict=True):
        if throttled:
            slot.failed(throttled=True)
        admission.__exit__(None, None, None)


def test_a_full_round_of_answers_adds_about_one_slot() -> None:
    gate = Gate(start=4, most=6)
    run_round(gate, 4, throttled=False)
    # 4 + 1/4 = 4.25; + 1/4.25 = 4.4853; + 1/4.4853 = 4.7082; + 1/4.7082 = 4.9206
    assert gate._limit == pytest.approx(4.9206, abs=1e-4)  # pyright: ignore[reportPrivateUsage]
    for _ in range(10):
        run_round(gate, gate.limit, throttled=False)
    assert gate.limit == 6


def test_a_round_that_is_throttled_halves_the_limit_once() -> None:
    gate = Gate(start=8)
    limits: list[int] = []
    for _ in range(5):
        run_round(gate, gate.limit, throttled=True)
        limits.append(gate.limit)
    assert limits == [4, 2, 1, 1, 1]


def test_a_failure_that_is_no_throttling_changes_nothing() -> None:
    gate = Gate(start=4)
    with gate.admit() as slot:
        slot.failed()
    with pytest.raises(KeyError), gate.admit():
        raise KeyError
    assert gate.limit == 4


def test_no_more_than_the_limit_are_inside() -> None:
    gate = Gate(start=3, most=3)
    inside = most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with gate.admit():
                with lock:
                    inside += 1
                    most = max(most, inside)
                threading.Event().wait(0.0005)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


@pytest.mark.parametrize(
    ("requests", "tokens", "size", "delays"),
    [
        # 60 a minute: a full bucket admits 60 at once, the 61st a second later.
        pytest.param(60, None, 0, [0.0] * 60 + [1.0, 2.0], id="requests"),
        # 600 tokens a minute, 300 each: two at once, then one every 30 s.
        pytest.param(None, 600, 300, [0.0, 0.0, 30.0, 60.0], id="tokens"),
        # A request larger than the bucket waits for a full one and is not refused for ever.
        pytest.param(None, 600, 1200, [0.0, 120.0], id="larger than the bucket"),
        pytest.param(None, None, 10**9, [0.0, 0.0], id="no limit"),
    ],
)
def test_rates_are_kept(
    requests: int | None, tokens: int | None, size: int, delays: list[float]
) -> None:
    clock = Clock()
    gate = Gate(requests_per_minute=requests, tokens_per_minute=tokens, clock=clock)
    for expected in delays:
        delay = gate._delay(size)  # pyright: ignore[reportPrivateUsage]
        assert delay is not None
        clock.now += delay
        assert clock.now == pytest.approx(expected)
        with gate.admit(size):
            pass


def test_retry_after_holds_everybody_back() -> None:
    clock = Clock()
    gate = Gate(clock=clock)
    with gate.admit() as slot:
        slot.failed(throttled=True, retry_after_s=12.0)
    assert gate._delay(0) == 12.0  # pyright: ignore[reportPrivateUsage]
    clock.now = 12.0
    assert gate._delay(0) == 0.0  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gate(start=0), "1 <= start <= most"),
        (lambda: Gate(start=9, most=8), "start=9 and most=8"),
        (lambda: Gate(requests_per_minute=0), "must be positive"),
    ],
    ids=["none at once", "more than most", "none a minute"],
)
def test_limits_that_admit_nobody_are_refused(make: Callable[[], Gate], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
