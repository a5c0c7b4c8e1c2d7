import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents import AgentsError, Budget, ExecuteCode, Submit, TaskEnv, ValidateCode
from agentbench_agents.feedback import HumanFeedback, ModelFeedback, Report, analysis, compose
from agentbench_agents.feedback.analysis import analyse, last_exception
from agentbench_agents.feedback.known import ISSUES
from agentbench_agents.feedback.template import template
from agentbench_agents.grading import check_parts, grade_half, halve
from agentbench_agents.models import Message
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.testing import NullSandbox
from agentbench_agents.workspace import CodeRun
from agentbench_sandbox import ExecResult, Limits
from agentbench_scoring.issue import Issue, IssueCode
from agentbench_tasks import load_task, prepare
from agentbench_tasks.build import ANSWERS, PART
from agentbench_tasks.grading import read_answers

SMALL = Limits(memory_mib=256, disk_mib=64, tmp_mib=32, pids=64)


@pytest.fixture(scope="module")
def env(data: Path) -> Iterator[TaskEnv]:
    made = TaskEnv(
        "digits",
        data_root=data,
        sandbox="local",
        limits=SMALL,
        code_timeout_s=4.0,
        providers=("template", "analysis"),
        budget=Budget(steps=100),
    )
    made.reset(seed=0)
    yield made
    made.close()


FAILURES = {
    # code: (what failed, where, cause, next step), as regular expressions; None says nothing
    "name": ("x = 1\ny = x + z\n", "NameError: name 'z'", r"line 2: `y = x \+ z`", "never given"),
    "in a function": (
        "def load(path):\n    return open(path).read()\n\nload('train.csv')\n",
        "FileNotFoundError",
        r"line 2, in load: `return open\(path\).read\(\)`",
        "path is not",
    ),
    "in a library": (
        "import json\nsettings = '{'\njson.loads(settings)\n",
        "JSONDecodeError",
        r"line 3: `json.loads\(settings\)`",
        None,
    ),
    "syntax": ("x = (1,\ny = 2\n", "SyntaxError", "line [12]", "not valid Python"),
    "module": ("import no_such_thing\n", "ModuleNotFoundError", "line 1", "not in the sandbox"),
    "network": (
        "import urllib.request\nurllib.request.urlopen('http://example.com', timeout=1)\n",
        "URLError",
        "line 2: `urllib",
        "needs the network",
    ),
    "the last of a chain": (
        "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('shape') from e\n",
        "ValueError: shape",
        "line 4: `raise",
        "different shapes",
    ),
    "memory of the program": (
        "data = bytearray(1 << 60)\n",
        "MemoryError",
        "line 1: `data",
        "need more memory",
    ),
    "killed for memory": (
        "keep = []\nwhile True:\n    keep.append(bytearray(1 << 26))\n",
        "memory ran out|signal 9",
        None,
        "memory",
    ),
    "time": (
        "import time\nprint('epoch 1', flush=True)\ntime.sleep(60)\n",
        "stopped after 4 s",
        "epoch 1",
        "does not fit into the time",
    ),
    "during another": (
        "def f():\n    raise KeyError('age')\n\ntry:\n    f()\nexcept KeyError as e:\n    1 / 0\n",
        "ZeroDivisionError",
        "line 7: `1 / 0`",
        "count or a sum is zero",
    ),
    "the member of an exception group": (
        "try:\n    {}['age']\nexcept KeyError as e:\n    raise ExceptionGroup('all', [e])\n",
        "KeyError: 'age'",
        r"line 2: `\{\}\['age'\]`",
        "not there",
    ),
    "exit": ("import sys\nsys.exit(3)\n", "exit code 3", None, "ended itself"),
    "crash": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "signal 11",
        None,
        "native library crashed",
    ),
    "read-only": (
        "open('/usr/x', 'w')\n",
        "OSError|PermissionError",
        "line 1: `open",
        "outside the working directory",
    ),
    "no submission": ("print('submission?')\n", "left no submission", "line 1", "No line|no line"),
    "a folder": (
        "import os\nos.mkdir('submission.csv')\n",
        "left no submission",
        "line 2",
        "not a regular file",
    ),
    "columns": (
        "open('submission.csv', 'w').write('id,label\\n1,2\\n')\n",
        "invalid",
        None,
        "header is not that",
    ),
    "rows": (
        "open('submission.csv', 'w').write('id,digit\\n1,2\\n')\n",
        "invalid",
        None,
        "rows are not those",
    ),
}


@pytest.mark.parametrize(("code", "what", "where", "cause"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_analysed(
    env: TaskEnv, code: str, what: str, where: str | None, cause: str | None
) -> None:
    observation, _, _, _, info = env.step(ExecuteCode(code=code).to_text())
    assert info["status"] != "ok"
    text = observation["text"].split("Error analysis:\n")[1]
    said = dict(re.findall(r"^- ([a-z ]+): (.*)$", text, re.MULTILINE))
    assert re.search(what, said["what failed"]), text
    for key, pattern in (("where", where), ("probable cause", cause)):
        assert (key in said) is (pattern is not None), text
        assert pattern is None or re.search(pattern, said[key]), text
    assert ("next step" in said) is (cause is not None)


def test_what_went_well_has_no_analysis(env: TaskEnv) -> None:
    code = "import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')"
    assert "analysis" not in env.step(ExecuteCode(code=code).to_text())[0]["text"]
    assert "analysis" not in env.step(ValidateCode(code="print(1)").to_text())[0]["text"]


def test_validate_code_is_analysed(env: TaskEnv) -> None:
    text = env.step(ValidateCode(code="x = 1\ndef f(:\n    pass").to_text())[0]["text"]
    assert "SyntaxError" in text.split("Error analysis:")[1]
    assert "line 2: `def f(:`" in text


def report(stderr: str = "", **changes: Any) -> Report:  # noqa: ANN401
    result = ExecResult(
        exit_code=1,
        stdout_bytes=b"",
        stderr_bytes=stderr.encode("utf-8", "replace"),
        stdout_total=0,
        stderr_total=0,
    )
    run = CodeRun(stage="run", result=result, timeout_s=1.0, submission=None)
    return replace(Report(kind="execute", code="a\nb\nc", run=run), **changes)


@given(st.text() | st.text(alphabet='Traceback (most recent call last):\n File"",0line.Ex|+^'))
def test_any_standard_error_can_be_analysed(stderr: str) -> None:
    assert analysis(report(stderr)).startswith("Error analysis:")


def test_a_hostile_traceback_takes_no_time() -> None:
    line = '  File "' + "a" * 300 + '", line 1, in f\n'
    stderr = "Traceback (most recent call last):\n" + line * 20_000 + "X" * 100_000
    assert analysis(report(stderr))
    assert analysis(report(" " * 200_000 + "\n" + "| " * 100_000))
    raised = last_exception("Traceback (most recent call last):\nmod.sub.OwnProblem: it broke\n")
    assert raised is not None
    assert (raised.name, raised.message) == ("OwnProblem", "it broke")


@pytest.mark.parametrize("code", IssueCode.__args__)
def test_every_issue_has_a_cause_and_a_next_step(code: str) -> None:
    assert set(ISSUES) <= set(IssueCode.__args__)
    run = report().run
    ran = replace(run, result=replace(run.result, exit_code=0), submission=b"x")
    issue = Issue(code=code, message="wrong")  # pyright: ignore[reportArgumentType]
    found = analyse(report(run=ran, submission=1, validity=False, issues=(issue,)))
    assert found is not None
    assert found.cause
    assert found.next_step


def test_a_model_writes_feedback_on_what_the_agent_sees(data: Path) -> None:
    asked: list[Sequence[Message]] = []

    def answer(messages: Sequence[Message]) -> str:
        asked.append(messages)
        return "  Scale the features.  "

    model = ScriptedModel(answer, name="critic")
    env = TaskEnv(
        "digits",
        data_root=data,
        sandbox=lambda: NullSandbox(exit_code=1, stdout=b"half way"),
        providers=("template", ModelFeedback(model=model)),
    )
    env.reset(seed=0)
    text = env.step(ExecuteCode(code="print('the code')").to_text())[0]["text"]
    assert text.startswith("Failed with exit code 1.")
    assert text.endswith("A reviewer (critic) says:\nScale the features.")
    assert "print('the code')" in asked[0][1]["content"]
    assert "half way" in asked[0][1]["content"]


def test_a_person_writes_feedback() -> None:
    lines = iter(["try a forest", "on scaled data", "", "never read"])
    shown: list[str] = []
    human = HumanFeedback(read=lambda: next(lines), write=shown.append)
    assert human(report("\x1b[2J")) == "A person says:\ntry a forest\non scaled data"
    assert "\x1b" not in "".join(shown)
    assert next(lines) == "never read"

    def end() -> str:
        raise EOFError

    assert HumanFeedback(read=end, write=shown.append)(report()) == ""


def test_providers_are_composed_and_named() -> None:
    said = compose([template, lambda _: "", lambda r: r.kind], report())
    assert said == "Failed with exit code 1.\n\nexecute"
    with pytest.raises(AgentsError, match="unknown feedback provider 'oracle'"):
        TaskEnv("digits", sandbox=NullSandbox, providers=("oracle",))
    with pytest.raises(AgentsError, match="must be a sequence"):
        TaskEnv("digits", sandbox=NullSandbox, providers="template")


@pytest.mark.parametrize("policy", ["none", "validity"])
def test_a_provider_learns_no_more_than_the_policy_allows(policy: str, data: Path) -> None:
    seen: list[Report] = []
    box = NullSandbox()
    env = TaskEnv(
        "digits",
        data_root=data,
        sandbox=lambda: box,
        feedback=policy,
        providers=(lambda r: seen.append(r) or "",),
    )
    env.reset(seed=0)
    for box.submission in (
        b"id,digit\n1,1\n",
        (env.prepared.public / "sample_submission.csv").read_bytes(),
    ):
        env.step(ExecuteCode(code="x").to_text())
    assert [r.grade for r in seen] == [None, None]
    if policy == "none":
        assert [(r.validity, r.issues) for r in seen] == [(None, ()), (None, ())]
    else:
        assert [r.validity for r in seen] == [False, True]


def flipped(env: TaskEnv, parts: set[str]) -> bytes:
    """The answers, wrong in the parts that are not named."""
    answers = halve(read_answers(env.prepared), env.task.submission.id)
    right = pl.col(PART).is_in(parts)
    digit = pl.col("digit").cast(pl.Int64)
    table = answers.select(
        "id", pl.when(right).then(digit).otherwise((digit + 1) % 10).alias("digit")
    )
    return table.write_csv().encode()


def test_the_halves_are_disjoint_fixed_and_of_one_size(data: Path) -> None:
    env = TaskEnv("digits", data_root=data, sandbox=NullSandbox)
    answers = read_answers(env.prepared)
    ids = env.task.submission.id
    halves = halve(answers, ids)
    assert set(halves.rows()) == set(halve(answers.reverse(), ids).rows())
    counts = dict(halves[PART].value_counts().iter_rows())
    assert counts["private"] == answers.filter(pl.col(PART) == "private").height
    assert 0 <= counts["validation"] - counts["selection"] <= 1


EPISODES = {
    # policy: (score of each submission that is shown, number of the final submission)
    "none": ([None, None, None], 3),
    "validity": ([None, None, None], 3),
    "validation": ([1.0, 0.0, 0.0], 2),
    "public": ([0.5, 0.5, 0.0], 1),
    "public+private": (["rest", "rest", "much"], 3),
}


@pytest.mark.parametrize("policy", EPISODES)
def test_an_episode_in_each_feedback_policy(policy: str, data: Path) -> None:
    """Submissions that are right on one part only tell which part chose and which one scored."""
    expected, chosen = EPISODES[policy]
    box = NullSandbox()
    env = TaskEnv("digits", data_root=data, sandbox=lambda: box, feedback=policy)
    env.reset(seed=0)
    shown: list[float | None] = []
    texts: list[str] = []
    for parts in ({"validation"}, {"selection"}, {"private"}):
        box.submission = flipped(env, parts)
        observation, _, _, _, info = env.step(ExecuteCode(code="x").to_text())
        shown.append(info["score"])
        texts.append(observation["text"])
    _, _, terminated, _, _ = env.step(Submit().to_text())
    assert terminated
    final = env.episode.final_submission()
    assert final is not None
    assert final.hidden is not None
    if policy == "public+private":
        assert shown[2] is not None
        assert shown[0] is not None
        assert 0 < shown[0] < 0.5 < shown[2]
    else:
        assert shown == [v if v is None else pytest.approx(v, abs=0.01) for v in expected]
    assert final.number == chosen
    assert final.hidden.score == (1.0 if chosen == 3 else 0.0)
    assert all(("accuracy" in t) is (shown[0] is not None) for t in texts)
    assert ("validation half" in texts[0]) is (policy == "validation")


def test_a_grade_on_a_half_is_that_of_its_rows(data: Path, tmp_path: Path) -> None:
    env = TaskEnv("digits", data_root=data, sandbox=NullSandbox)
    path = tmp_path / "s.csv"
    path.write_bytes(flipped(env, {"validation"}))
    grades = {half: grade_half(env.prepared, path, half) for half in ("validation", "selection")}
    assert [g.score for g in grades.values()] == [1.0, 0.0]
    assert grades["validation"].progress == 1.0
    assert grades["selection"].progress == 0.0
    assert grades["validation"].margin is not None
    assert (
        sum(g.n for g in grades.values())
        == read_answers(env.prepared).filter(pl.col(PART) == "public").height
    )


@pytest.mark.parametrize(
    ("public", "refused"), [(0, {"public", "validation"}), (1, {"validation"})], ids=["none", "one"]
)
def test_a_policy_that_has_nothing_to_show_is_refused(
    public: int, refused: set[str], tmp_path: Path
) -> None:
    task = load_task("digits")
    prepared = prepare(task, tmp_path)
    path = prepared.private / ANSWERS
    answers = pl.read_csv(path)
    parts = ["public"] * public + ["private"] * (answers.height - public)
    answers.with_columns(pl.Series(PART, parts)).write_csv(path)
    for policy in EPISODES:
        if policy in refused:
            with pytest.raises(AgentsError, match=f"public answers and digits has {public}"):
                check_parts(prepared, policy)
        else:
            check_parts(prepared, policy)


def test_a_task_without_public_answers_tells_validity_unless_asked(data: Path) -> None:
    options: dict[str, Any] = {"data_root": data, "sandbox": NullSandbox, "synthetic": 60}
    assert TaskEnv("hubmap-kidney-segmentation", **options).feedback == "validity"
    with pytest.raises(AgentsError, match="'public' needs 1 public answers"):
        TaskEnv("hubmap-kidney-segmentation", feedback="public", **options)


def test_halves_are_scored_on_the_scale_of_the_board(data: Path, tmp_path: Path) -> None:
    prepared = TaskEnv("digits", data_root=data, sandbox=NullSandbox).prepared
    metric = prepared.task.metric.model_copy(update={"scale": -2.0, "offset": 5.0})
    prepared = replace(prepared, task=prepared.task.model_copy(update={"metric": metric}))
    path = tmp_path / "s.csv"
    table = pl.read_csv(prepared.private / ANSWERS).select("id", "digit")
    table.write_csv(path)
    assert grade_half(prepared, path, "validation").score == 3.0
