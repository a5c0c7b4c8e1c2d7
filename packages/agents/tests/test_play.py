import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentbench_agents import Budget, TaskEnv
from agentbench_agents.testing import NullSandbox
from agentbench_cli.play import Human

COPY = "import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')"


class Terminal:
    """`agentbench play` behind a pseudo-terminal."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import agentbench_cli; agentbench_cli.main()", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **(env or {})},
            start_new_session=True,
        )
        os.close(slave)
        self.seen: str = ""

    def expect(self, text: str, timeout_s: float = 90.0) -> str:
        """Read until `text` comes; return what came before it since the last time."""
        deadline = time.monotonic() + timeout_s
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                assert text in self.seen, f"no {text!r} in {self.seen!r}"
        end = self.seen.index(text)
        before, self.seen = self.seen[:end], self.seen[end + len(text) :]
        return before

    def type(self, *lines: str) -> None:
        for line in lines:
            os.write(self.master, line.encode() + b"\n")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(data: Path, tmp_path: Path) -> Iterator[Terminal]:
    editor = f"{sys.executable} -c \"import sys; open(sys.argv[1], 'a').write('print(6 * 7)')\""
    made = Terminal(
        *("play", "digits", "--sandbox", "local", "--steps", "9"),
        *("--data", str(data), "--out", str(tmp_path)),
        env={"EDITOR": editor},
    )
    yield made
    made.close()


def test_a_person_plays_an_episode_in_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    terminal.expect("[9 steps left, best 0 %] > ")
    terminal.type("help")
    told = terminal.expect("[9 steps left")
    assert "run [FILE]" in told
    assert "submit [SUBMISSION]" in told
    terminal.type("dance")
    assert "'dance' is unknown here" in terminal.expect("[9 steps left")
    terminal.type("info metadata")
    assert '"metric": "accuracy"' in terminal.expect("[8 steps left")
    terminal.type("code", COPY, ".")
    terminal.expect("[8 steps left")
    terminal.type("check")
    assert "It wrote submission.csv" in terminal.expect("[7 steps left")
    terminal.type("run")
    assert "Submission 1: accuracy" in terminal.expect("[6 steps left")
    terminal.type("edit")
    assert "The program has 2 lines" in terminal.expect("[6 steps left")
    terminal.type("run")
    assert "\n42\r" in terminal.expect("[5 steps left")
    terminal.type("history 1")
    assert "(the first 3 steps are left out)" in terminal.expect("[4 steps left")
    terminal.type('{"action": "request_info", "params": {"info_type": "name"}}')
    assert "digits" in terminal.expect("[3 steps left")
    terminal.type("submit 7")
    assert "There is no valid submission 7" in terminal.expect("[2 steps left")
    terminal.type("submit")
    told = terminal.expect("Runs: ")
    assert "Submission 1 is your final one." in told
    assert "accuracy" in told
    assert terminal.process.wait(30) == 0
    (row,) = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert (row["status"], row["steps"], row["submission"]) == ("scored", 8, 1)


def test_leaving_ends_the_episode_with_what_there_is(terminal: Terminal) -> None:
    terminal.expect("best 0 %] > ")
    os.write(terminal.master, b"\x04")
    assert "You left" in terminal.expect("Runs: ")
    assert terminal.process.wait(30) == 0


def play(env: TaskEnv, lines: list[str]) -> str:
    """Play with a list of lines in place of a terminal."""
    waiting = iter(lines)
    console = Console(record=True, width=100, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115

    def read(prompt: str) -> str:
        del prompt
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    Human(console=console, read=read).run(env, None)
    console.file.close()
    return console.export_text()


def null_env(data: Path, **options: Any) -> TaskEnv:  # noqa: ANN401
    env = TaskEnv(
        "digits", data_root=data, sandbox=lambda: NullSandbox(stdout=b"\x1b[2Jout"), **options
    )
    env.reset(seed=0)
    return env


WRONG = {
    "unbalanced quote": "info 'over",
    "too many words": "reset now",
    "no file": "run /nowhere/solution.py",
    "a folder": "run .",
    "no number": "history many",
    "no editor": "edit",
}


@pytest.mark.parametrize("line", WRONG.values(), ids=WRONG)
def test_a_wrong_line_costs_nothing_and_says_why(
    line: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    env = null_env(data)
    assert "That was no action: " in play(env, [line])
    assert env.spend.steps == 0


def test_a_program_comes_from_a_file_and_output_cannot_drive_the_terminal(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "solution.py").write_text("print(1)")
    env = null_env(data, budget=Budget(steps=2))
    shown = play(env, [f"run {tmp_path}/solution.py", "show", "", "run"])
    assert "\x1b" not in shown
    assert "[2Jout" in shown
    assert shown.count("print(1)") == 1
    assert "The episode is over." in shown
    assert env.spend.steps == 2


def test_a_reward_is_shown(data: Path) -> None:
    env = TaskEnv("digits", data_root=data, sandbox=lambda: box)
    answers = (env.prepared.private / "answers.csv").read_text().splitlines()
    perfect = "\n".join(",".join(line.split(",")[:2]) for line in answers)
    box = NullSandbox(submission=perfect.encode())
    env.reset(seed=0)
    assert "reward +1.0000" in play(env, ["code", "x", ".", "run"])


def test_research_actions_take_words_and_long_texts(small_research: Path) -> None:
    env = TaskEnv("rainfall-nowcasting-lite", data_root=small_research, sandbox="local")
    env.reset(seed=0)
    lines = ["write_file hello.py", "import sys", "print(sys.argv[1:])", "."]
    lines += ["run_script hello.py a b", "read_file hello.py last=1", "list_files"]
    shown = play(env, lines)
    env.close()
    assert "['a', 'b']" in shown
    assert "hello.py, lines 1 to 1 of 2" in shown
    assert "main.py" in shown
