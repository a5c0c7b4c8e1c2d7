"""Human leaderboards: where a score would have stood among people.

Notation: a board of N teams, score s, direction d (+1 if higher is better). A team l beats s if
d l > d s. Boards come as all their scores, or as quantiles, in which case results are approximate.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import DegenerateLeaderboardError, InvalidInputError

Method = Literal["midrank", "paper", "mledojo"]


class Medal(StrEnum):
    """A medal; `str()` gives its name."""

    GOLD = "gold"
    SILVER = "silver"
    BRONZE = "bronze"


class MedalCutoffs(NamedTuple):
    """Last position that wins each medal."""

    gold: int
    silver: int
    bronze: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPosition:
    """Where a score stands.

    Args:
        position: 1 + teams strictly better: ties go to the score. At most n + 1.
        position_worst: 1 + teams better or equal: ties go to the teams.
        n: Teams.
        paper: 1 - position/n (MLE-Dojo's paper; -1/n for a score below everyone).
        mledojo: (n - position + 1)/n (MLE-Dojo's code).
        percentile_strict: Share of teams strictly beaten.
        midrank: Share beaten plus half the share tied, in [0, 1].
        approximate: Whether the board is known by its quantiles only.
    """

    position: int
    position_worst: int
    n: int
    paper: float
    mledojo: float
    percentile_strict: float
    midrank: float
    approximate: bool = False


BoardFault = Literal[
    "constant", "truncated", "public_equals_private", "sentinel", "outliers", "heavily_tied"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardIssue:
    """One thing that is wrong with a board."""

    code: BoardFault
    message: str
    count: int


class Leaderboard:
    """Scores of human teams.

    Args:
        scores: One score a team, in any order.
        higher_is_better: Direction; never inferred.
        n_teams: Teams that took part, where the board was cut off; the missing ones count as
            worse than everyone on the board.

    Raises:
        DegenerateLeaderboardError: Empty, constant, or with a score that is not finite.
        InvalidInputError: `n_teams` is less than the number of scores.
    """

    __slots__ = ("_approximate", "_gains", "_rising", "higher_is_better", "n")

    def __init__(
        self,
        scores: Sequence[float] | NDArray[np.float64],
        *,
        higher_is_better: bool,
        n_teams: int | None = None,
    ) -> None:
        """Sort the scores once."""
        board = np.asarray(scores, dtype=np.float64)
        if board.ndim != 1 or not board.size:
            raise DegenerateLeaderboardError("the board is empty")
        if not np.isfinite(board).all():
            wrong = int(np.count_nonzero(~np.isfinite(board)))
            raise DegenerateLeaderboardError(f"{wrong} of {board.size} scores are not finite")
        if board.min() == board.max():
            raise DegenerateLeaderboardError(
                f"all {board.size} scores are {board[0]}: such a board ranks nobody"
            )
        if n_teams is not None and n_teams < board.size:
            raise InvalidInputError(f"n_teams is {n_teams}, the board has {board.size} scores")
        self.higher_is_better = higher_is_better
        self.n = board.size if n_teams is None else n_teams
        self._gains = np.sort(board if higher_is_better else -board)
        self._rising: list[float] = self._gains.tolist()  # bisect is faster than searchsorted
        self._approximate = False

    @classmethod
    def from_quantiles(
        cls, quantiles: Mapping[float, float], *, n_teams: int, higher_is_better: bool
    ) -> Self:
        """A board known by quantiles only; results say `approximate`.

        Args:
            quantiles: From the share of teams at least as good (0 the best team, 1 the worst) to
                the score at rank max(1, ceil(share · n_teams)); 0 and 1 must be there.
            n_teams: Teams that took part.
            higher_is_better: Direction.
        """
        shares = sorted(quantiles)
        if len(shares) < 2 or shares[0] != 0 or shares[-1] != 1 or n_teams < 2:
            raise InvalidInputError("quantiles need the shares 0 and 1, and two teams or more")
        direction = 1.0 if higher_is_better else -1.0
        gains = [direction * quantiles[share] for share in shares]
        if not all(math.isfinite(gain) for gain in gains) or gains[0] == gains[-1]:
            raise DegenerateLeaderboardError("the quantiles are constant or not finite")
        if any(later > earlier for earlier, later in pairwise(gains)):
            raise InvalidInputError("the quantiles do not fall from the best to the worst team")
        ranks = np.array([max(1, math.ceil(share * n_teams - 1e-9)) for share in shares])
        filled = np.interp(np.arange(1, n_teams + 1), ranks, gains)
        board = cls(direction * filled, higher_is_better=higher_is_better)
        board._approximate = True
        return board

    @property
    def approximate(self) -> bool:
        """Whether the board is known by its quantiles only."""
        return self._approximate

    @property
    def best(self) -> float:
        """The best score."""
        gain = float(self._gains[-1])
        return gain if self.higher_is_better else -gain

    @property
    def median(self) -> float:
        """Median score of the teams on the board."""
        gain = float(np.median(self._gains))
        return gain if self.higher_is_better else -gain

    def position(self, score: float) -> BoardPosition:
        """Where a finite score stands; raises `InvalidInputError` for another."""
        if not math.isfinite(score):
            raise InvalidInputError(f"a score must be finite, not {score}")
        gain = float(score if self.higher_is_better else -score)
        rising, n = self._rising, self.n
        above = len(rising) - bisect_right(rising, gain)
        at_least = len(rising) - bisect_left(rising, gain)
        beaten, tied, position = n - at_least, at_least - above, above + 1
        return BoardPosition(
            position=position,
            position_worst=at_least + 1,
            n=n,
            paper=1 - position / n,
            mledojo=(n - position + 1) / n,
            percentile_strict=beaten / n,
            midrank=(beaten + tied / 2) / n,
            approximate=self._approximate,
        )

    def human_rank(self, score: float, *, method: Method = "midrank") -> float:
        """Share of people beaten.

        Args:
            score: A finite score.
            method: "midrank": (beaten + ½ tied)/N, in [0, 1], neutral to ties; "paper":
                1 - position/N; "mledojo": (N - position + 1)/N, as that code computes.
        """
        found = self.position(score)
        values = {"midrank": found.midrank, "paper": found.paper, "mledojo": found.mledojo}
        if method not in values:
            raise InvalidInputError(f"method is one of {sorted(values)}, not {method!r}")
        return values[method]

    def medal(self, score: float) -> Medal | None:
        """The medal of a score at least as good as the one at the last position that wins it."""
        if not math.isfinite(score):
            raise InvalidInputError(f"a score must be finite, not {score}")
        gain = score if self.higher_is_better else -score
        cutoffs = medal_cutoffs(self.n)
        for medal, last in zip(Medal, cutoffs, strict=True):
            if last <= self._gains.size and gain >= self._gains[-last]:
                return medal
        return None

    def diagnose(self, *, public: "Leaderboard | None" = None) -> list[BoardIssue]:
        """What is wrong with the board, for a reader to judge by.

        Args:
            public: The public board of the same competition, to compare with.
        """
        gains = self._gains
        found: list[BoardIssue] = []
        if gains.size < self.n:
            message = f"the board lists {gains.size} of {self.n} teams"
            found.append(BoardIssue(code="truncated", message=message, count=self.n - gains.size))
        values, counts = np.unique(gains, return_counts=True)
        most = int(counts.max())
        if most >= max(2, 0.1 * gains.size):
            message = f"{most} of {gains.size} teams share one score"
            found.append(BoardIssue(code="heavily_tied", message=message, count=most))
        sentinel = int(counts[np.isin(np.abs(values), _SENTINELS)].sum())
        if sentinel:
            message = f"{sentinel} teams hold a sentinel such as 999999"
            found.append(BoardIssue(code="sentinel", message=message, count=sentinel))
        middle = float(np.median(gains))
        spread = float(np.median(np.abs(gains - middle)))
        far = int(np.count_nonzero(np.abs(gains - middle) > 100 * spread)) if spread > 0 else 0
        if far:
            message = f"{far} teams lie more than 100 median absolute deviations from the median"
            found.append(BoardIssue(code="outliers", message=message, count=far))
        if public is not None and np.array_equal(public._gains, gains):  # noqa: SLF001 (own class)
            message = "the public board equals the private one"
            found.append(
                BoardIssue(code="public_equals_private", message=message, count=gains.size)
            )
        return found


_SENTINELS = np.array([9999.0, 99999.0, 999999.0, 9999999.0, 1e308, 1.7976931348623157e308])


def diagnose_scores(
    scores: Sequence[float], *, higher_is_better: bool, n_teams: int | None = None
) -> list[BoardIssue]:
    """`Leaderboard.diagnose` for scores that may not make a board at all (constant ones)."""
    board = np.asarray(scores, dtype=np.float64)
    if board.size and np.isfinite(board).all() and board.min() == board.max():
        message = f"all {board.size} scores are {board[0]}"
        return [BoardIssue(code="constant", message=message, count=board.size)]
    return Leaderboard(board, higher_is_better=higher_is_better, n_teams=n_teams).diagnose()


def medal_cutoffs(n_teams: int) -> MedalCutoffs:
    """Kaggle's medal places for a number of teams, rounded down and at least 1."""
    if n_teams < 1:
        raise InvalidInputError(f"n_teams must be positive, not {n_teams}")
    tenth, fifth, two_fifths = n_teams // 10, n_teams // 5, 2 * n_teams // 5
    if n_teams < 100:
        places = (tenth, fifth, two_fifths)
    elif n_teams < 250:
        places = (10, fifth, two_fifths)
    elif n_teams < 1000:
        places = (10 + n_teams // 500, 50, 100)
    else:
        places = (10 + n_teams // 500, n_teams // 20, tenth)
    return MedalCutoffs(*(max(1, place) for place in places))


def leaderboard_position(
    score: float, leaderboard: Sequence[float], *, higher_is_better: bool
) -> BoardPosition:
    """Where a score stands on a board given as a list."""
    return Leaderboard(leaderboard, higher_is_better=higher_is_better).position(score)


def medal(score: float, leaderboard: Sequence[float], *, higher_is_better: bool) -> Medal | None:
    """The medal that a score wins on a board given as a list."""
    return Leaderboard(leaderboard, higher_is_better=higher_is_better).medal(score)


def human_rank(
    *, public: Mapping[str, int] | None = None, private: Mapping[str, int] | None = None
) -> float:
    """Mean over the boards given of 1 - position/n, the paper's form.

    Args:
        public: `{"position": p, "n": teams}` on the public board.
        private: Likewise on the private board.

    Raises:
        InvalidInputError: No board, or a position outside 1..n + 1.
    """
    boards = [board for board in (public, private) if board is not None]
    if not boards:
        raise InvalidInputError("give a position on the public or the private board, or on both")
    ranks: list[float] = []
    for board in boards:
        position, n = board["position"], board["n"]
        if n < 1 or not 1 <= position <= n + 1:
            raise InvalidInputError(f"position {position} is not on a board of {n} teams")
        ranks.append(1 - position / n)
    return sum(ranks) / len(ranks)
