"""What a run may spend, and what it has spent."""

import threading
import time
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field


class Budget(BaseModel):
    """Limits of one run; `None` means without limit.

    Attributes:
        steps: Environment steps, at least 1.
        wall_s: Seconds from the first reset.
        tokens: Prompt plus completion tokens, as the model's server counts them.
        cost_usd: US dollars, where the price of the model is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=15, ge=1)
    wall_s: float | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, gt=0)
    cost_usd: float | None = Field(default=None, gt=0)


@dataclass(slots=True, kw_only=True)
class Spend:
    """A running account against a budget; all branches of an episode draw on it, in any thread."""

    budget: Budget
    steps: int = 0
    tokens: int = 0
    cost_usd: float | None = None
    started: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def take_step(self) -> int | None:
        """Spend one step and return its number in the run, or None if there is none left."""
        with self._lock:
            if self.steps >= self.budget.steps:
                return None
            self.steps += 1
            return self.steps

    def add(self, *, tokens: int = 0, cost_usd: float | None = None) -> None:
        """Spend tokens and dollars."""
        with self._lock:
            self.tokens += tokens
            if cost_usd is not None:
                self.cost_usd = (self.cost_usd or 0.0) + cost_usd

    @property
    def steps_left(self) -> int:
        """Steps that remain."""
        return max(0, self.budget.steps - self.steps)

    @property
    def wall_s(self) -> float:
        """Seconds since the account was opened."""
        return time.monotonic() - self.started

    def remaining_s(self) -> float | None:
        """Seconds that are left, or None without a limit."""
        return None if self.budget.wall_s is None else max(0.0, self.budget.wall_s - self.wall_s)

    def exceeded(self) -> str | None:
        """Say which limit is reached, or None."""
        b = self.budget
        if self.steps >= b.steps:
            return f"all {b.steps} steps are used"
        if b.wall_s is not None and self.wall_s >= b.wall_s:
            return f"the {b.wall_s:g} seconds are over"
        if b.tokens is not None and self.tokens >= b.tokens:
            return f"{self.tokens} of {b.tokens} tokens are used"
        if b.cost_usd is not None and self.cost_usd is not None and self.cost_usd >= b.cost_usd:
            return f"${self.cost_usd:.2f} of ${b.cost_usd:.2f} is spent"
        return None
