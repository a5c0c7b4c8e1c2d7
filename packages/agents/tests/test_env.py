import itertools
import json
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbench_agents import (
    REWARDS,
    AgentsError,
    Budget,
    EpisodeOverError,
    ExecuteCode,
    GetHistory,
    LeakError,
    RequestInfo,
    Reset,
    Submit,
    TaskEnv,
    ValidateCode,
)
from agentbench_agents.actions import SUBMISSION_ACTIONS, Action, InfoType
from agentbench_agents.episode import Episode, Outcome
from agentbench_agents.testing import NullSandbox
from agentbench_agents.trajectory import Trajectory, read_trajectory
from agentbench_sandbox import Limits, Mount, Request, Sandbox, local
from agentbench_tasks import load_task, prepare

WRITE_SAMPLE = "import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')"


@pytest.fixture
def env(data: Path) -> Iterator[TaskEnv]:
    made = TaskEnv("digits", data_root=data, sandbox="local")
    made.reset(seed=1)
    yield made
    made.close()


def sample(env: TaskEnv) -> bytes:
    return (env.prepared.public / "sample_submission.csv").read_bytes()


def perfect(env: TaskEnv) -> bytes:
    answers = (env.prepared.private / "answers.csv").read_text().splitlines()
    return "\n".join(",".join(line.split(",")[:2]) for line in answers).encode()


def null_env(data: Path, sandbox: Sandbox, **options: Any) -> TaskEnv:  # noqa: ANN401
    env = TaskEnv("digits", data_root=data, sandbox=lambda: sandbox, **options)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("task", ["digits", "breast-cancer", "diabetes"])
def test_check_env_passes_without_a_warning(task: str, data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make(
            f"agentbench/{task}-v0", data_root=data, sandbox="local", render_mode="ansi"
        )
        check_env(made.unwrapped)
        made.close()


def test_step_returns_five_values_inside_the_spaces(env: TaskEnv) -> None:
    observation, reward, terminated, truncated, info = env.step(ExecuteCode(code="x").to_text())
    assert env.observation_space.contains(observation)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["status"] == "failed"
    assert "NameError" in observation["text"]


def test_a_run_that_writes_a_submission_is_graded(env: TaskEnv) -> None:
    observation, reward, _, _, info = env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())
    assert info["status"] == "ok"
    assert info["submission"] == 1
    assert 0 <= info["score"] < 0.3
    assert reward == observation["progress"] == observation["best_progress"]
    assert "best submission so far" in observation["text"]


def test_resubmission_earns_nothing(env: TaskEnv) -> None:
    rewards = [env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())[1] for _ in range(3)]
    assert rewards[1:] == [0.0, 0.0]


def test_a_stale_submission_is_never_scored(env: TaskEnv) -> None:
    env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())
    assert env.step(ExecuteCode(code="pass").to_text())[4]["status"] == "no_submission"
    failing = WRITE_SAMPLE + "; 1/0"
    assert env.step(ExecuteCode(code=failing).to_text())[4]["status"] == "failed"
    assert env.step(ExecuteCode(code="pass").to_text())[4]["status"] == "no_submission"
    assert len(env.episode.submissions) == 1


def test_an_invalid_submission_says_why_and_earns_nothing(env: TaskEnv) -> None:
    code = "open('submission.csv', 'w').write('id,digit\\n1,2\\n1,3\\n')"
    observation, reward, _, _, info = env.step(ExecuteCode(code=code).to_text())
    assert info["status"] == "invalid_submission"
    assert reward == 0
    assert "539 ids are missing (first: " in observation["text"]
    assert "2 rows have an id that is not asked for (first: 1" in observation["text"]
    assert env.episode.final_submission() is None


WRONG_ACTIONS = {
    "no json": "hello",
    "unknown": '{"action": "fly"}',
    "wrong info type": '{"action": "request_info", "params": {"info_type": "answers"}}',
    "empty code": '{"action": "execute_code", "params": {"code": ""}}',
    "nothing to submit": '{"action": "submit"}',
    "no text": None,
    "bytes": b'{"action": "get_history"}',
    "too long": '{"action": "get_history"}' + " " * 10_000_000,
    "a number of 5,000 digits": '{"action": "get_history", "params": {"last": %s}}' % ("9" * 5000),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", WRONG_ACTIONS.values(), ids=WRONG_ACTIONS)
def test_a_wrong_action_is_an_observation_not_an_exception(data: Path, text: str) -> None:
    env = null_env(data, NullSandbox())
    observation, reward, terminated, truncated, info = env.step(text)
    assert info["status"] == "invalid_action"
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert env.observation_space.contains(observation)
    assert observation["text"].startswith(("Invalid action: ", "There is no valid submission"))


def test_validate_code_checks_syntax_imports_and_a_sample(env: TaskEnv) -> None:
    cases = {
        "def f(:": ("failed", "SyntaxError"),
        "import no_such_thing": ("failed", "not installed here: no_such_thing"),
        "print(len(open('input/train.csv').readlines()))": ("ok", "201"),
        WRITE_SAMPLE: ("ok", "wrote submission.csv"),
    }
    for code, (status, text) in cases.items():
        observation, _, _, _, info = env.step(ValidateCode(code=code).to_text())
        assert info["status"] == status, observation["text"]
        assert text in observation["text"]
    assert env.episode.submissions == []


def test_validate_code_leaves_a_submission_alone(env: TaskEnv) -> None:
    env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())
    env.step(ValidateCode(code="open('submission.csv', 'w')").to_text())
    assert env.episode.workspace.sandbox.read_file(env.episode.workspace.output_path) == sample(env)


@pytest.mark.parametrize(
    "kind",
    [
        "overview",
        "sample_submission",
        "data_structure",
        "data_path",
        "output_path",
        "name",
        "metadata",
        "all",
    ],
)
def test_every_information_type_answers(env: TaskEnv, kind: InfoType) -> None:
    observation, _, _, _, info = env.step(RequestInfo(info_type=kind).to_text())
    assert info["status"] == "ok"
    assert len(observation["text"]) >= 5


def test_metadata_is_that_of_the_task(env: TaskEnv) -> None:
    text = env.step(RequestInfo(info_type="metadata").to_text())[0]["text"]
    about = json.loads(text)
    assert about["task"] == "digits"
    assert about["metric"] == "accuracy"
    assert about["higher_is_better"] is True


def test_history_is_a_summary_that_does_not_grow_by_itself(env: TaskEnv) -> None:
    env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())
    lengths = [len(env.step(GetHistory().to_text())[0]["text"]) for _ in range(8)]
    grown = [b - a for a, b in itertools.pairwise(lengths)]
    assert all(0 < g < 40 for g in grown)


def test_reset_action_empties_the_working_directory(env: TaskEnv) -> None:
    env.step(ExecuteCode(code=WRITE_SAMPLE + "; open('kept', 'w')").to_text())
    env.step(Reset().to_text())
    listing = "import os; print(sorted(os.listdir()))"
    text = env.step(ExecuteCode(code=listing).to_text())[0]["text"]
    assert "kept" not in text
    assert "submission.csv" not in text.split("--- stdout")[1].split("\n")[1]
    assert len(env.episode.submissions) == 1


def test_answers_cannot_be_read_from_inside(env: TaskEnv) -> None:
    private = env.prepared.private
    code = f"""
import os, pathlib, sys
found = []
roots = ("/", {str(private)!r}, {str(private.parent)!r}, "input/..", "/proc/1/root")
for root in (*roots, "/proc/self/cwd/.."):
    for folder, dirs, files in os.walk(root):
        dirs[:] = [d for d in dirs if d not in ("proc", "sys", "dev", "usr", "lib", "lib64")]
        found += [os.path.join(folder, f) for f in files if "answer" in f]
print("found", found)
for path in ({str(private / "answers.csv")!r}, "input/../private/answers.csv"):
    try:
        print("read", open(path).read()[:50])
    except OSError as error:
        print("refused")
try:
    from sklearn.datasets import load_digits
    print("loaded", load_digits().target[:5])
except Exception as error:
    print("hidden")
"""
    assert (private / "answers.csv").is_file()
    text = env.step(ExecuteCode(code=code).to_text())[0]["text"]
    assert "found []" in text, text
    assert text.count("refused") == 2
    assert "hidden" in text
    assert "loaded" not in text


@pytest.mark.parametrize("backend", ["open_bubblewrap", "open_landlock"])
def test_each_local_isolation_works_and_hides_the_data(backend: str, data: Path) -> None:
    prepared = prepare(load_task("digits"), data)

    def open_(hide: tuple[str, ...]) -> Sandbox:
        mounts = (Mount(prepared.public, "/data"),)
        request = Request(mounts=mounts, hide=hide, limits=Limits(memory_mib=2048, disk_mib=512))
        return getattr(local, backend)(request)

    env = TaskEnv("digits", data_root=data, sandbox=lambda: open_(prepared.task.hide))
    env.reset(seed=0)
    assert env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())[4]["status"] == "ok"
    code = "from sklearn.datasets import load_digits; load_digits()"
    assert env.step(ExecuteCode(code=code).to_text())[4]["status"] == "failed"
    env.close()
    leaky = TaskEnv("digits", data_root=data, sandbox=lambda: open_(()))
    with pytest.raises(LeakError, match="sklearn/datasets/data"):
        leaky.reset(seed=0)
    leaky.close()


def test_no_host_variable_enters(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    env = TaskEnv("digits", data_root=data, sandbox="local")
    env.reset(seed=0)
    code = "import os; print(dict(os.environ)); print(open('/proc/1/environ').read())"
    text = env.step(ExecuteCode(code=code).to_text())[0]["text"]
    env.close()
    assert "sk-planted" not in text


def test_output_is_trimmed_for_the_agent_and_kept_whole(tmp_path: Path, data: Path) -> None:
    env = TaskEnv("digits", data_root=data, sandbox="local", directory=tmp_path)
    env.reset(seed=0)
    text = env.step(ExecuteCode(code="print('x' * 5_000_000)").to_text())[0]["text"]
    env.close()
    assert len(text) < 8000
    assert "characters left out" in text
    assert (tmp_path / "outputs" / "1.stdout.txt").stat().st_size == 5_000_001


def test_a_time_out_keeps_what_was_printed(data: Path) -> None:
    env = TaskEnv("digits", data_root=data, sandbox="local", code_timeout_s=1.5)
    env.reset(seed=0)
    code = "import time; print('began', flush=True); time.sleep(60)"
    observation, _, _, _, info = env.step(ExecuteCode(code=code).to_text())
    env.close()
    assert info["status"] == "failed"
    assert "time limit of 1.5 s" in observation["text"]
    assert "began" in observation["text"]


def test_submit_ends_the_episode(env: TaskEnv) -> None:
    env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())
    assert env.step(Submit(submission=7).to_text())[4]["status"] == "invalid_action"
    _, _, terminated, truncated, _ = env.step(Submit().to_text())
    assert (terminated, truncated) == (True, False)
    with pytest.raises(EpisodeOverError):
        env.step(GetHistory().to_text())


SPENT: dict[str, tuple[Budget, dict[str, Any]]] = {
    "tokens": (Budget(tokens=100), {"tokens": 100}),
    "cost": (Budget(cost_usd=0.5), {"cost_usd": 0.5}),
    "wall": (Budget(wall_s=1e-9), {}),
}


@pytest.mark.parametrize("limit", SPENT)
def test_each_budget_truncates(limit: str, data: Path) -> None:
    budget, spent = SPENT[limit]
    env = null_env(data, NullSandbox(), budget=budget)
    if spent:
        assert env.step(GetHistory().to_text())[2:4] == (False, False)
        env.spend.add(**spent)
    assert env.step(GetHistory().to_text())[2:4] == (False, True)
    assert env.over


def test_submitting_with_the_last_step_terminates_and_does_not_truncate(data: Path) -> None:
    box = NullSandbox()
    env = null_env(data, box, budget=Budget(steps=2))
    box.submission = sample(env)
    env.step(ExecuteCode(code="x").to_text())
    assert env.step(Submit().to_text())[2:4] == (True, False)


@pytest.mark.parametrize("reward", REWARDS)
def test_an_invalid_action_costs_what_is_asked(reward: str, data: Path) -> None:
    env = null_env(data, NullSandbox(), reward=reward, invalid_penalty=0.25)
    steps = ("nonsense", '{"action": "submit"}', GetHistory().to_text())
    assert [env.step(text)[1] for text in steps] == [-0.25, -0.25, 0.0]


QUALITY = st.sampled_from(["nothing", "invalid", 0.0, 0.4, 0.7, 1.0])


@pytest.mark.parametrize("policy", ["none", "validity", "validation", "public", "public+private"])
@pytest.mark.parametrize("reward", REWARDS)
@settings(deadline=None, max_examples=4)  # for each of 20 pairs
@given(qualities=st.lists(QUALITY, min_size=1, max_size=6))
def test_what_an_episode_earns(
    qualities: list[float | str], reward: str, policy: str, data: Path
) -> None:
    """The sum is the best progress that could be known; the same file again earns nothing."""
    box = NullSandbox()
    env = null_env(data, box, reward=reward, feedback=policy, budget=Budget(steps=20))
    head, *rows = perfect(env).decode().splitlines()
    earned: list[float] = []
    for quality in (*qualities, qualities[-1]):
        if isinstance(quality, float):
            right = round(quality * len(rows))
            wrong = [f"{row.split(',')[0]},{(int(row[-1]) + 1) % 10}" for row in rows[right:]]
            box.submission = "\n".join([head, *rows[:right], *wrong]).encode()
        else:
            box.submission = None if quality == "nothing" else b"id,digit\n1,1\n"
        earned.append(env.step(ExecuteCode(code="x").to_text())[1])
    _, last, terminated, _, _ = env.step(Submit().to_text())
    assert all(0 <= r <= 1 for r in (*earned, last))
    shown = [s.shown.progress for s in env.episode.submissions if s.shown]
    final = env.episode.final_submission()
    made = env.episode.submissions
    assert terminated is (bool(made) if policy == "none" else final is not None)
    if reward == "absolute":
        assert sum(earned) == pytest.approx(sum(shown))
        return
    assert earned[-1] == 0
    total = sum(earned) + last
    assert total <= 1 + 1e-9
    if reward != "milestone":
        if shown or policy not in ("none", "validity"):
            assert total == pytest.approx(max(shown, default=0.0))
        else:
            hidden = final.hidden.progress if final is not None and final.hidden else 0.0
            assert total == pytest.approx(hidden)


def test_the_budget_truncates(data: Path) -> None:
    env = null_env(data, NullSandbox(), budget=Budget(steps=2))
    assert env.step(GetHistory().to_text())[3] is False
    observation, _, terminated, truncated, _ = env.step(GetHistory().to_text())
    assert (terminated, truncated) == (False, True)
    assert observation["steps_left"] == 0


@pytest.mark.parametrize(
    ("policy", "shows_score", "shows_validity"),
    [
        ("none", False, False),
        ("validity", False, True),
        ("public", True, True),
        ("public+private", True, True),
    ],
)
def test_feedback_policies(
    policy: str, shows_score: bool, shows_validity: bool, data: Path
) -> None:
    box = NullSandbox()
    env = null_env(data, box, feedback=policy)
    box.submission = b"id,digit\n1,1\n"
    invalid = env.step(ExecuteCode(code="x").to_text())
    assert (invalid[4]["status"] == "invalid_submission") is shows_validity
    box.submission = perfect(env)
    valid = env.step(ExecuteCode(code="x").to_text())
    assert (valid[4]["score"] is not None) is shows_score
    assert ("accuracy" in valid[0]["text"]) is shows_score
    assert valid[0]["best_progress"] == float(shows_score)
    last = env.step(Submit().to_text())
    assert env.episode.final_submission() is env.episode.submissions[1]
    if not shows_score:
        final = env.episode.final_submission()
        assert final is not None
        assert final.hidden is not None
        assert last[1] == final.hidden.progress


@pytest.mark.parametrize("first", ["valid", "invalid"])
def test_choosing_tells_nothing_without_feedback(first: str, data: Path) -> None:
    """What a run is told and earns is the same to the end, whatever the grader thinks."""
    box = NullSandbox()
    env = null_env(data, box, feedback="none", reward="milestone")
    told: list[Any] = [env.step(Submit().to_text())]
    box.submission = sample(env) if first == "valid" else b"id,digit\n1,1\n"
    told.append(env.step(ExecuteCode(code="x").to_text()))
    told += [env.step(Submit(submission=n).to_text()) for n in (7, 1)]
    assert [(o["text"].split(";")[0], r, t) for o, r, t, *_ in told] == [
        ("There is no submission to choose", 0, False),
        ("The program ended well.\nSubmission 1 was received.", 0.25, False),
        ("There is no submission 7", 0, False),
        ("Submission 1 is your final one.", 0, True),
    ]
    assert (env.episode.final_submission() is not None) is (first == "valid")


def test_the_final_submission_is_the_best_shown(data: Path) -> None:
    box = NullSandbox()
    env = null_env(data, box)
    for submission in (sample(env), perfect(env), sample(env)):
        box.submission = submission
        env.step(ExecuteCode(code="x").to_text())
    final = env.episode.final_submission()
    assert final is not None
    assert final.number == 2
    assert final.hidden is not None
    assert final.hidden.score == 1.0


class Count(Action):
    """Count the submissions."""

    name = "count"

    def apply(self, episode: Episode) -> Outcome:
        return Outcome(text=str(len(episode.submissions)))


def test_an_action_of_your_own_cannot_hide_another(data: Path) -> None:
    class History(Count):
        name = "get_history"

    for actions in ((Count, Count), (History,)):
        with pytest.raises(AgentsError, match=r"two actions are named '(count|get_history)'"):
            TaskEnv("digits", data_root=data, sandbox=NullSandbox, actions=actions)


def test_actions_of_your_own_can_be_called(data: Path) -> None:
    env = null_env(data, NullSandbox(), actions=(Count,))
    assert env.step('{"action": "count"}')[0]["text"] == "0"
    assert "count takes {}" in env.observation["text"] or env.observation["text"] == "0"


def test_steps_are_recorded_whole(tmp_path: Path, data: Path) -> None:
    box = NullSandbox()
    with Trajectory(tmp_path / "t.jsonl") as trajectory:
        env = null_env(data, box, trajectory=trajectory, directory=tmp_path)
        box.submission = sample(env)
        env.step(ExecuteCode(code="print('the code')").to_text())
    events = list(read_trajectory(tmp_path / "t.jsonl"))
    kinds = [e["type"] for e in events]
    assert kinds == ["note", "observation", "action", "score", "observation"]
    assert [e["parent"] for e in events] == [None, 1, 2, 3, 4]
    assert [t["function"]["name"] for t in events[0]["actions"]][:2] == [
        "request_info",
        "validate_code",
    ]
    assert events[2]["params"] == {"code": "print('the code')"}
    assert {"reward", "text", "status", "wall_s"} <= set(events[4])
    assert (tmp_path / "submissions" / "1.csv").read_bytes() == box.submission


ODD_SUBMISSIONS = {
    "a folder": "import os; os.mkdir('submission.csv')",
    "a pipe": "import os; os.mkfifo('submission.csv')",
    "a link out": "import os; os.symlink('/etc/passwd', 'submission.csv')",
    "endless": "import os; os.symlink('/dev/zero', 'submission.csv')",
    "sparse and huge": "open('submission.csv', 'wb').truncate(1 << 40)",
}


@pytest.mark.parametrize("code", ODD_SUBMISSIONS.values(), ids=ODD_SUBMISSIONS)
def test_an_odd_submission_is_an_observation(env: TaskEnv, code: str) -> None:
    _, reward, _, _, info = env.step(ExecuteCode(code=code).to_text())
    assert info["status"] in ("no_submission", "invalid_submission", "failed")
    assert reward == 0
    assert env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())[4]["status"] == "ok"


BROKEN_WORKSPACES = {
    "removed": "import shutil; shutil.rmtree('.', ignore_errors=True)",
    "no permissions": "import os; os.chmod('.', 0)",
    "full": "open('fill', 'wb').write(b'x' * (1 << 31))",
    "link for a check": "import os; os.symlink('/', '.check')",
    "busy": (
        "import os\nfor _ in range(2000):\n"
        "  if os.fork() == 0:\n    os.execvp('sleep', ['sleep', '5'])"
    ),
}


@pytest.mark.parametrize("code", BROKEN_WORKSPACES.values(), ids=BROKEN_WORKSPACES)
def test_what_an_agent_does_to_its_workspace_is_its_own_affair(env: TaskEnv, code: str) -> None:
    env.step(ExecuteCode(code=code).to_text())
    env.step(ValidateCode(code="pass").to_text())
    env.step(ExecuteCode(code="pass").to_text())
    env.step(Reset().to_text())
    assert env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())[4]["status"] == "ok"


def test_an_environment_can_be_made_in_any_thread(data: Path) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            env = TaskEnv("digits", data_root=data, sandbox="local")
            env.reset(seed=0)
            env.step(RequestInfo(info_type="name").to_text())
            env.close()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_closing_leaves_no_file(data: Path) -> None:
    env = TaskEnv("digits", data_root=data, sandbox="local")
    env.reset(seed=0)
    folder = env.episode.directory
    env.step(ExecuteCode(code=WRITE_SAMPLE).to_text())
    assert folder.exists()
    env.close()
    env.close()
    assert not folder.exists()


def test_vector_environments(data: Path) -> None:
    def make() -> TaskEnv:
        return TaskEnv("digits", data_root=data, sandbox="local")

    text = RequestInfo(info_type="name").to_text()
    for vector in (SyncVectorEnv([make] * 2), AsyncVectorEnv([make] * 2, shared_memory=False)):
        vector.reset(seed=0)
        observation, rewards, *_ = vector.step((text, text))
        assert tuple(observation["text"]) == ("digits", "digits")
        assert list(rewards) == [0.0, 0.0]
        vector.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"feedback": "all"}, "feedback policy 'all'"), ({"reward": "big"}, "unknown reward 'big'")],
    ids=["feedback", "reward"],
)
def test_a_wrong_argument_is_named(data: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(AgentsError, match=message):
        TaskEnv("digits", data_root=data, sandbox="local", **options)  # pyright: ignore[reportArgumentType]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=8,
)
NAMES = st.sampled_from([a.name for a in SUBMISSION_ACTIONS])
FIELDS = st.sampled_from(["code", "info_type", "last", "submission", "x"])
CALLS = st.fixed_dictionaries(
    {"action": NAMES | JSON}, optional={"params": JSON | st.dictionaries(FIELDS, JSON)}
)


@pytest.fixture(scope="module")
def tireless(data: Path) -> TaskEnv:
    return null_env(data, NullSandbox(), budget=Budget(steps=10**9))


@settings(deadline=None, max_examples=300)
@given(st.text() | JSON.map(json.dumps) | CALLS.map(json.dumps) | st.characters().map(str))
def test_any_text_and_any_json_is_answered_by_an_observation(
    tireless: TaskEnv, action: str
) -> None:
    observation, reward, terminated, truncated, info = tireless.step(action)
    assert tireless.observation_space.contains(observation)
    assert reward == 0
    assert not terminated
    assert not truncated
    assert info["status"] in ("ok", "invalid_action", "no_submission")


def test_a_submission_without_a_score_is_told_and_earns_nothing(data: Path) -> None:
    """Equal predictions have no rank correlation."""
    box = NullSandbox()
    options: dict[str, Any] = {"synthetic": 200, "providers": ("template", "analysis")}
    env = TaskEnv(
        "us-patent-phrase-to-phrase-matching", data_root=data, sandbox=lambda: box, **options
    )
    env.reset(seed=0)
    header, *rows = sample(env).decode().splitlines()
    width = len(header.split(",")) - 1
    constant = [f"{row.split(',')[0]}" + ",0.5" * width for row in rows]
    box.submission = "\n".join([header, *constant]).encode()
    observation, reward, _, _, info = env.step(ExecuteCode(code="x").to_text())
    assert info["status"] == "invalid_submission"
    assert reward == 0
    assert "It is valid, but it has no score: " in observation["text"]
    assert "predict values that differ" in observation["text"]
    assert env.step(Submit().to_text())[4]["status"] == "invalid_action"
