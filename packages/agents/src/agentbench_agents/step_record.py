"""What a step leaves: events in the trajectory, a line of history, and `info`."""

from typing import TYPE_CHECKING, Any

from agentbench_agents.actions import Action
from agentbench_agents.trajectory import Branch

if TYPE_CHECKING:
    from agentbench_agents.episode import Episode, Outcome, Submission
    from agentbench_tasks import Grade


def record_action(branch: Branch, step: int, action: Action | str) -> None:
    """Write what the agent did: an action, or the text that is none, whole as it is replayed."""
    said = branch.trajectory.last_message
    data: dict[str, Any] = {"step": step} if said is None else {"step": step, "message": said}
    if isinstance(action, str):
        branch.append("action", {**data, "text": action})
        return
    params = action.model_dump(mode="json")
    branch.append("action", {**data, "action": action.name, "params": params})


def record_outcome(
    branch: Branch,
    step: int,
    outcome: "Outcome",
    submission: "Submission | None",
    *,
    reward: float,
    wall_s: float,
) -> None:
    """Write what came of it: the grades of a submission, which agents never see, and the rest."""
    if submission is not None:
        branch.append(
            "score",
            {
                "step": step,
                "submission": submission.number,
                "sha256": submission.sha256,
                "shown": _scores(submission.shown),
                "hidden": _scores(submission.hidden),
                "issues": [issue.code for issue in submission.issues],
            },
        )
    branch.append(
        "observation",
        {
            "step": step,
            "status": outcome.status,
            "text": outcome.text,
            "reward": reward,
            "wall_s": round(wall_s, 4),
        },
    )


def summary_line(
    step: int, name: str | None, outcome: "Outcome", submission: "Submission | None"
) -> str:
    """Return a step in one line, as far as the agent may know it."""
    line = f"step {step}: {name or 'unreadable action'}: {outcome.status}"
    if submission is not None:
        line += f", submission {submission.number}"
        if submission.shown is not None:
            line += f", score {submission.shown.score:.6g}"
    return line


def made_in(episode: "Episode", outcome: "Outcome") -> "Submission | None":
    """Return the submission that an action made."""
    if outcome.submission is None:
        return None
    return next(s for s in reversed(episode.submissions) if s.number == outcome.submission)


def step_info(outcome: "Outcome", name: str | None, made: "Submission | None") -> dict[str, Any]:
    """Return the `info` of a step: None where the agent may not know."""
    shown = None if made is None else made.shown
    return {
        "status": outcome.status,
        "action": name,
        "submission": outcome.submission,
        "score": None if shown is None else shown.score,
        "human_rank": None if shown is None else shown.human_rank,
        "medal": None if shown is None or shown.medal is None else str(shown.medal),
    }


def _scores(grade: "Grade | None") -> dict[str, Any] | None:
    if grade is None:
        return None
    return {
        "score": grade.score,
        "progress": grade.progress,
        "human_rank": grade.human_rank,
        "medal": None if grade.medal is None else str(grade.medal),
    }
