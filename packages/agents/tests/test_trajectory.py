import itertools
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.errors import RunDirectoryError
from agentbench_agents.trajectory import Trajectory, read_trajectory

TALK = [
    {"role": "system", "content": "you are"},
    {"role": "user", "content": "task"},
    {"role": "assistant", "content": "first"},
]


def test_a_message_is_stored_once_and_branches_share_their_path(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        first = trajectory.append_messages(TALK)
        again = trajectory.append_messages(TALK)
        other = trajectory.append_messages([*TALK[:2], {"role": "assistant", "content": "second"}])
    events = list(read_trajectory(path))
    assert first == again == 3
    assert other == 4
    assert [e["parent"] for e in events] == [None, 1, 2, 2]
    assert [e["content"] for e in events] == ["you are", "task", "first", "second"]


def test_equal_messages_at_different_places_are_different_events(tmp_path: Path) -> None:
    with Trajectory(tmp_path / "t.jsonl") as trajectory:
        assert trajectory.append_messages([TALK[1], TALK[1]]) == 2


@given(st.lists(st.text(max_size=50), max_size=8))
def test_any_text_survives(texts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.jsonl"
        with Trajectory(path) as trajectory:
            for text in texts:
                trajectory.append("note", {"text": text})
        assert [e["text"] for e in read_trajectory(path)] == texts
        assert path.read_bytes().count(b"\n") == len(texts)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        trajectory.append("note", {"n": 1})
        trajectory.append("note", {"n": 2})
    path.write_bytes(path.read_bytes()[:-5])
    assert [e["n"] for e in read_trajectory(path)] == [1]


def test_a_changed_line_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": 1}\nnonsense\n{"id": 2}\n')
    with pytest.raises(RunDirectoryError, match="line 2"):
        list(read_trajectory(path))


def test_an_existing_trajectory_is_never_continued(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("")
    with pytest.raises(RunDirectoryError, match="cannot create"):
        Trajectory(path)


def test_the_bytes_of_a_step_do_not_depend_on_how_many_came_before(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    talk: list[dict[str, str]] = []
    sizes: list[int] = []
    with Trajectory(path) as trajectory:
        for step in range(100, 400):
            talk.append({"role": "user", "content": f"{step}" * 100})
            trajectory.append_messages(talk)
            sizes.append(path.stat().st_size)
    grown = [b - a for a, b in itertools.pairwise(sizes)]
    assert max(grown) <= min(grown) + 20


def test_events_are_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        trajectory.append("action", {"step": 1}, parent=None)
    event = json.loads(path.read_text())
    assert {"id", "parent", "type", "t", "step"} == set(event)


def test_an_action_can_name_the_message_that_its_own_thread_came_to(tmp_path: Path) -> None:
    seen: list[int | None] = []
    with Trajectory(tmp_path / "t.jsonl") as trajectory:
        assert trajectory.last_message is None
        trajectory.append_messages(TALK)
        thread = threading.Thread(target=lambda: seen.append(trajectory.last_message))
        thread.start()
        thread.join()
        assert trajectory.last_message == 3
        trajectory.append_messages(TALK[:2])
        assert trajectory.last_message == 2
    assert seen == [None]


def test_what_is_written_is_what_was_said_but_for_keys(tmp_path: Path) -> None:
    """Blanking must neither join two strings at an address nor miss a key that begins a line."""
    key = "sk-" + "a1" * 14
    said: list[dict[str, Any]] = [
        {"params": {"path": "a://b", "content": "c@d"}},
        {"params": {"code": "u = 'http://localhost:8000'\n@app.get('/')\ndef f(): ..."}},
        {"text": f"key:\n{key}\n"},
    ]
    path = tmp_path / "t.jsonl"
    with Trajectory(path) as trajectory:
        for data in said:
            trajectory.append("note", data)
    read = [{k: e[k] for k in ("params", "text") if k in e} for e in read_trajectory(path)]
    assert read == [*said[:2], {"text": "key:\n[secret]\n"}]


def test_who_goes_on_after_its_own_answer_follows_that_answer(tmp_path: Path) -> None:
    """Threads that ask the same, are answered the same and ask again at the same time."""
    path, both = tmp_path / "t.jsonl", threading.Barrier(2)
    answers: dict[str, int | None] = {}

    with Trajectory(path) as trajectory:

        def search(name: str) -> None:
            asked = trajectory.append_messages(TALK[:2])
            answers[name] = trajectory.append_messages(TALK[2:], parent=asked, data={"by": name})
            both.wait(timeout=60)  # both are answered before either asks for a repair
            trajectory.append_messages([*TALK, {"role": "user", "content": "again, please"}])
            trajectory.append("note", {"of": name}, parent=trajectory.last_message)

        threads = [threading.Thread(target=search, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = {e["id"]: e for e in read_trajectory(path)}
    repairs = [e for e in events.values() if e.get("content") == "again, please"]
    assert {e["parent"] for e in repairs} == {*answers.values()}
    for note in (e for e in events.values() if e["type"] == "note"):
        assert events[events[note["parent"]]["parent"]]["by"] == note["of"]
