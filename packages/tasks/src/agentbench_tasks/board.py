"""Where a score would stand on a human leaderboard that is known by its quantiles only."""

import bisect
from dataclasses import dataclass
from typing import Literal

from agentbench_tasks.task import Board, BoardSummary

Medal = Literal["gold", "silver", "bronze"]
_SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A place on a board, read off its quantiles, so approximate between them.

    Args:
        human_rank: Share of the teams that the score beats, ties counted half, in [0, 1].
        position: 1 for a score no team beats.
        n: Rows of the board.
        medal: By Kaggle's rules for a board of this many teams.
    """

    human_rank: float
    position: int
    n: int
    medal: Medal | None


def standing(board: Board | None, score: float, *, higher_is_better: bool) -> Standing | None:
    """Place a score on the private board; None without a board, or when it is constant."""
    if board is None or board.private.best == board.private.worst:
        return None
    summary = board.private
    rank = _share_ahead(summary, score, higher_is_better=higher_is_better)
    position = min(int(rank * summary.n) + 1, summary.n + 1)
    teams = max(board.n_teams or summary.n, summary.n)
    return Standing(
        human_rank=1.0 - rank,
        position=position,
        n=summary.n,
        medal=_medal(position, teams),
    )


def _share_ahead(summary: BoardSummary, score: float, *, higher_is_better: bool) -> float:
    """Share of the teams before the score: linear in the score between two known quantiles."""
    values = [
        summary.best,
        summary.p1,
        summary.p5,
        summary.p10,
        summary.p25,
        summary.p50,
        summary.p75,
        summary.p90,
        summary.worst,
    ]
    shares = [0.0, *_SHARES, 1.0]
    losses = [-value if higher_is_better else value for value in values]
    loss = -score if higher_is_better else score
    if loss < losses[0]:
        return 0.0
    if loss > losses[-1]:
        return 1.0
    low = bisect.bisect_left(losses, loss)
    high = bisect.bisect_right(losses, loss)
    if low < high:  # on a known quantile, or on a run of equal ones: the middle of the tie
        return (shares[low] + shares[high - 1]) / 2
    before, after = losses[low - 1], losses[low]
    return shares[low - 1] + (shares[low] - shares[low - 1]) * (loss - before) / (after - before)


def _medal(position: int, teams: int) -> Medal | None:
    """Kaggle's rule: shares of small boards, fixed numbers and shares of large ones."""
    if teams < 100:
        cuts = (0.1 * teams, 0.2 * teams, 0.4 * teams)
    elif teams < 250:
        cuts = (10, 0.2 * teams, 0.4 * teams)
    elif teams < 1000:
        cuts = (10 + teams // 500, 50, 100)
    else:
        cuts = (10 + teams // 500, 0.05 * teams, 0.1 * teams)
    names: tuple[Medal, ...] = ("gold", "silver", "bronze")
    for name, cut in zip(names, cuts, strict=True):
        if position <= max(1, int(cut)):
            return name
    return None
