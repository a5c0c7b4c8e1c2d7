"""Recordings: content-addressed, in order of occurrence, without secrets, safe against a crash."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.models import (
    Completion,
    Message,
    ModelConfigError,
    Sampling,
    ToolCall,
    Usage,
    open_model,
)
from agentbench_agents.models.replay import ReplayModel
from agentbench_agents.models.scripted import ScriptedModel

RICH = Completion(
    text="a\u2028b\x85c",
    tool_calls=(ToolCall(id="c", name="f", arguments="{oops"),),
    usage=Usage(prompt_tokens=1, completion_tokens=2, cost_usd=0.25),
    reasoning="why",
    logprobs=(-0.5, -1.25),
    token_ids=(3, 4),
    prompt_token_ids=(1,),
    finish_reason="tool_calls",
)


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def test_answers_come_back_whole_and_in_order_of_occurrence(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recorder = ReplayModel(file, ScriptedModel(["one", RICH, "two"], name="m"), mode="record")
    for text in ("a", "b", "a"):
        recorder.complete(ask(text))
    replayed = open_model(f"replay:{file}")
    assert replayed.name == "replay:m"
    assert replayed.complete(ask("b")) == RICH
    assert [replayed.complete(ask("a")).text for _ in range(2)] == ["one", "two"]


@pytest.mark.parametrize(
    ("asked", "seed", "times", "why"),
    [
        ("new", None, 1, "never recorded"),
        ("a", 1, 1, "never recorded"),
        ("a", None, 2, "recorded 1 times and is asked for the 2[.] time"),
    ],
    ids=["other prompt", "other sampling", "once too often"],
)
def test_a_miss_is_an_error_that_says_what_was_asked(
    tmp_path: Path, asked: str, seed: int | None, times: int, why: str
) -> None:
    file = tmp_path / "r.jsonl"
    ReplayModel(file, ScriptedModel(["one"]), mode="record").complete(ask("a"))
    replayed = ReplayModel(file)
    for _ in range(times - 1):
        replayed.complete(ask(asked))
    with pytest.raises(ModelConfigError, match=f"ends in '{asked}' .*{why}"):
        replayed.complete(ask(asked), sampling=Sampling(seed=seed))


def test_auto_asks_only_for_what_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    first = ReplayModel(file, ScriptedModel(["one"], name="m"), mode="auto")
    assert first.complete(ask("a")).text == "one"
    second = ReplayModel(file, ScriptedModel(["two"], name="m"), mode="auto")
    assert second.complete(ask("a")).text == "one"
    assert second.complete(ask("b")).text == "two"
    assert len(file.read_text().splitlines()) == 2


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_replay_equals_the_recorded_run(
    tmp_path_factory: pytest.TempPathFactory, asked: list[str]
) -> None:
    file = tmp_path_factory.mktemp("replay") / "r.jsonl"
    script = ScriptedModel([str(n) for n in range(len(asked))], name="m")
    recorder = ReplayModel(file, script, mode="auto")
    recorded = [recorder.complete(ask(text)) for text in asked]
    if recorded:
        replayed = ReplayModel(file)
        assert [replayed.complete(ask(text)) for text in asked] == recorded


def test_secrets_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "correct-horse-battery"  # noqa: S105 - a made-up one
    monkeypatch.setenv("MY_API_KEY", secret)
    file = tmp_path / "r.jsonl"
    leaky = f"key {secret} and sk-" + 30 * "x"
    ReplayModel(file, ScriptedModel([leaky], name="m"), mode="record").complete(ask(leaky))
    assert secret not in file.read_text()
    assert "xxx" not in file.read_text()
    monkeypatch.delenv("MY_API_KEY")
    blank = "key [secret] and [secret]"
    assert ReplayModel(file).complete(ask(blank)).text == blank


def test_a_line_cut_by_a_crash_is_left_out_and_added_again(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    recorder = ReplayModel(file, ScriptedModel(["one", "two"], name="m"), mode="record")
    recorder.complete(ask("a"))
    recorder.complete(ask("b"))
    file.write_bytes(file.read_bytes()[:-20])
    auto = ReplayModel(file, ScriptedModel(["three"], name="m"), mode="auto")
    assert [auto.complete(ask(text)).text for text in "ab"] == ["one", "three"]
    replayed = ReplayModel(file)
    assert [replayed.complete(ask(text)).text for text in "ab"] == ["one", "three"]


@pytest.mark.parametrize("line", ["{}", "no", '{"model": 1}'])
def test_what_is_no_recording_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(ModelConfigError, match="line 1 is no recorded answer"):
        ReplayModel(file)


def test_a_recording_is_neither_invented_nor_overwritten(tmp_path: Path) -> None:
    with pytest.raises(ModelConfigError, match="there is no recording"):
        ReplayModel(tmp_path / "absent.jsonl")
    with pytest.raises(ModelConfigError, match="needs a model"):
        ReplayModel(tmp_path / "new.jsonl", mode="record")
    (tmp_path / "old.jsonl").touch()
    with pytest.raises(ModelConfigError, match="exists already"):
        ReplayModel(tmp_path / "old.jsonl", ScriptedModel([]), mode="record")


def test_threads_with_their_own_seeds_replay_as_recorded(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    script = ScriptedModel([f"answer {n}" for n in range(8)], name="m")
    recorder = ReplayModel(file, script, mode="record")
    recorded = [recorder.complete(ask("a"), sampling=Sampling(seed=n)).text for n in range(8)]
    replayed = ReplayModel(file)
    found: dict[int, str] = {}

    def work(seed: int) -> None:
        found[seed] = replayed.complete(ask("a"), sampling=Sampling(seed=seed)).text

    threads = [threading.Thread(target=work, args=(n,)) for n in reversed(range(8))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(8)] == recorded
