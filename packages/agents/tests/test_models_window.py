from collections.abc import Sequence
from pathlib import Path

import pytest

from agentbench_agents.budget import Budget, Spend
from agentbench_agents.models import (
    Completion,
    ContextLengthError,
    Message,
    Sampling,
    ToolSchema,
    Usage,
    WindowedModel,
)
from agentbench_agents.models.openai import OpenAIModel
from agentbench_agents.models.tokens import estimate_tokens
from agentbench_agents.recording import RecordedModel
from agentbench_agents.trajectory import Trajectory, read_trajectory

DEFAULT = Sampling()


class Counting:
    """Keeps what it was sent; counts `scale` times as many tokens as we estimate."""

    name = "counting"

    def __init__(self, *, scale: float = 1.0) -> None:
        self.sent: list[Sequence[Message]] = []
        self.scale = scale

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),
        sampling: Sampling = DEFAULT,
    ) -> Completion:
        del tools, sampling
        self.sent.append(messages)
        read = int(self.scale * estimate_tokens(messages))
        return Completion(text="ok " * 20, usage=Usage(prompt_tokens=read, completion_tokens=20))

    def close(self) -> None: ...


def talk(model: WindowedModel, *, turns: int, words: int = 60) -> list[Message]:
    messages: list[Message] = [
        {"role": "system", "content": "be good"},
        {"role": "user", "content": "the task"},
    ]
    for turn in range(turns):
        messages.append(model.complete(messages, sampling=Sampling(max_tokens=50)).as_message())
        messages.append({"role": "user", "content": f"turn {turn} " + "word " * words})
    return messages


def test_what_is_sent_always_fits_and_the_agent_keeps_everything() -> None:
    inner = Counting()
    messages = talk(WindowedModel(inner, window=1000), turns=40)
    assert len(messages) == 2 + 2 * 40
    assert max(estimate_tokens(sent) for sent in inner.sent) <= 1000 - 50
    assert all(sent[1]["content"] == "the task" for sent in inner.sent if len(sent) > 2)


def test_a_talk_is_summarised_once_in_a_window_and_not_in_every_turn() -> None:
    inner = Counting()
    talk(WindowedModel(inner, window=1000), turns=40)
    summaries = len(inner.sent) - 40
    assert 0 < summaries <= 12  # every summary makes room for several turns


def test_a_short_talk_is_sent_as_it_is() -> None:
    inner = Counting()
    messages = talk(WindowedModel(inner, window=100_000), turns=5)
    assert [list(sent) for sent in inner.sent] == [messages[: 2 + 2 * n] for n in range(5)]


def test_the_estimate_follows_what_the_provider_counts() -> None:
    inner = Counting(scale=2.0)
    talk(WindowedModel(inner, window=1000), turns=30)
    assert max(2 * estimate_tokens(sent) for sent in inner.sent[2:]) <= 1000 - 50


def test_an_opening_that_does_not_fit_is_an_error() -> None:
    model = WindowedModel(Counting(), window=300)
    with pytest.raises(ContextLengthError, match="larger window"):
        model.complete([{"role": "user", "content": "word " * 2000}])


def test_the_trajectory_has_what_was_sent_as_a_branch(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    inner = Counting()
    with Trajectory(path) as trajectory:
        spend = Spend(budget=Budget())
        recorded = RecordedModel(inner, trajectory=trajectory, spend=spend)
        talk(WindowedModel(recorded, window=1000), turns=20)
    by_id = {e["id"]: e for e in read_trajectory(path)}
    told: list[list[str]] = []
    for event in by_id.values():
        if "model" in event:
            at, words = event["parent"], list[str]()
            while at is not None:
                words.append(by_id[at]["content"])
                at = by_id[at]["parent"]
            told.append(words[::-1])
    assert told == [[m["content"] for m in sent] for sent in inner.sent]


@pytest.mark.parametrize(("window", "threshold"), [(0, 0.9), (100, 0.0), (100, 1.5)])
def test_a_senseless_window_is_refused(window: int, threshold: float) -> None:
    with pytest.raises(ValueError, match="window"):
        WindowedModel(Counting(), window=window, threshold=threshold)


@pytest.mark.parametrize(
    ("url", "name", "window"),
    [
        ("https://api.openai.com/v1", "gpt-4o", 128_000),
        ("https://api.openai.com/v1", "no-such-model", None),
        ("http://127.0.0.1:8000/v1", "gpt-4o", None),
    ],
)
def test_the_window_of_a_hosted_model_is_that_of_the_table(
    url: str, name: str, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert OpenAIModel(name, base_url=url).window == window
