"""Places among people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring import (
    DegenerateLeaderboardError,
    InvalidInputError,
    Leaderboard,
    diagnose_scores,
    human_rank,
    leaderboard_position,
    medal,
    medal_cutoffs,
)


@pytest.mark.parametrize(
    ("teams", "places"),
    [
        (1, (1, 1, 1)),
        (50, (5, 10, 20)),
        (99, (9, 19, 39)),
        (100, (10, 20, 40)),
        (249, (10, 49, 99)),
        (250, (10, 50, 100)),
        (999, (11, 50, 100)),
        (1000, (12, 50, 100)),
        (4321, (18, 216, 432)),
    ],
)
def test_medal_places(teams: int, places: tuple[int, int, int]) -> None:
    assert medal_cutoffs(teams) == places


def test_lower_is_better_turns_everything_round() -> None:
    board = [1.0, 2.0, 2.0, 5.0]
    place = leaderboard_position(2.0, board, higher_is_better=False)
    assert (place.position, place.position_worst, place.n) == (2, 4, 4)
    assert (place.paper, place.mledojo, place.midrank) == (0.5, 0.75, 0.5)
    assert place.percentile_strict == 0.25


def test_ties_win_the_medal_and_none_is_none() -> None:
    board = [0.9] * 3 + [0.5] * 17
    assert str(medal(0.9, board, higher_is_better=True)) == "gold"
    assert str(medal(0.5, board, higher_is_better=True)) == "silver"
    assert medal(0.4, board, higher_is_better=True) is None


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=40), st.integers(-6, 6), st.booleans())
def test_position_counts_teams(board: list[int], score: int, higher: bool) -> None:
    if len(set(board)) == 1:
        with pytest.raises(DegenerateLeaderboardError):
            Leaderboard(board, higher_is_better=higher)
        return
    sign = 1 if higher else -1
    better = sum(sign * team > sign * score for team in board)
    tied = board.count(score)
    place = Leaderboard(board, higher_is_better=higher).position(score)
    assert (place.position, place.position_worst) == (better + 1, better + tied + 1)
    assert place.midrank == pytest.approx((len(board) - better - tied / 2) / len(board))
    assert 0 <= place.midrank <= 1


def test_a_cut_off_board_counts_the_missing_teams_as_beaten() -> None:
    board = Leaderboard([3, 2, 1], higher_is_better=True, n_teams=10)
    assert board.human_rank(2.5) == 0.9
    assert [issue.code for issue in board.diagnose()] == ["truncated"]


def test_quantiles_are_approximate_and_close() -> None:
    scores = [1 - k / 1000 for k in range(1000)]
    exact = Leaderboard(scores, higher_is_better=True)
    shares = {0.0: 1.0, 0.01: 0.991, 0.1: 0.901, 0.5: 0.501, 1.0: 0.001}
    rough = Leaderboard.from_quantiles(shares, n_teams=1000, higher_is_better=True)
    assert rough.position(0.75).approximate
    for score in (0.0, 0.2, 0.5, 0.905, 0.995, 1.0):
        assert rough.human_rank(score) == pytest.approx(exact.human_rank(score), abs=0.002)


def test_diagnosis() -> None:
    assert diagnose_scores([0.0] * 9, higher_is_better=True)[0].code == "constant"
    odd = [0.5 + k / 1000 for k in range(50)] + [999999.0, 1e27]
    codes = {issue.code for issue in diagnose_scores(odd, higher_is_better=False)}
    assert codes == {"sentinel", "outliers"}
    board = Leaderboard([1, 2, 3], higher_is_better=True)
    assert [i.code for i in board.diagnose(public=board)] == ["public_equals_private"]


def test_human_rank_is_the_papers_mean_over_boards() -> None:
    boards = {"public": {"position": 10, "n": 100}, "private": {"position": 40, "n": 200}}
    assert human_rank(**boards) == pytest.approx((0.9 + 0.8) / 2)
    assert human_rank(private={"position": 101, "n": 100}) == pytest.approx(-0.01)
    with pytest.raises(InvalidInputError):
        human_rank(public={"position": 0, "n": 5})


@pytest.mark.parametrize("method", ["midrank", "paper", "mledojo"])
def test_methods_differ_by_their_definition(method: str) -> None:
    board = Leaderboard([4, 3, 3, 1], higher_is_better=True)
    expected = {"midrank": 0.5, "paper": 0.5, "mledojo": 0.75}
    assert board.human_rank(3, method=method) == expected[method]  # pyright: ignore[reportArgumentType] (a table of literals)
