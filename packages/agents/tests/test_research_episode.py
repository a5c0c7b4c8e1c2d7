import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gymnasium.utils.env_checker import check_env

from agentbench_agents import AgentsError, Budget, Submit, TaskEnv
from agentbench_agents.research_actions import (
    AppendFile,
    CopyFile,
    EditFile,
    ListFiles,
    ReadFile,
    RunDev,
    RunScript,
    WriteFile,
)
from agentbench_agents.research_episode import ResearchEpisode
from agentbench_agents.research_result import AnchorError
from agentbench_agents.run import RunResult, RunSpec, run_one
from agentbench_agents.trajectory import read_trajectory
from agentbench_tasks.research_tasks.rainfall import lite as rainfall

TASK = "rainfall-nowcasting-lite"
TESTING = "agentbench_agents.testing"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rainfall, "SCENES", {"train": 40, "dev": 40, "test": 60})
        folder = tmp_path_factory.mktemp("data")
        TaskEnv(TASK, data_root=folder, sandbox="local").close()
    return folder


@pytest.fixture
def env(data: Path, tmp_path: Path) -> Iterator[TaskEnv]:
    made = TaskEnv(TASK, data_root=data, sandbox="local", directory=tmp_path / "run")
    made.reset(seed=1)
    yield made
    made.close()


def act(env: TaskEnv, action: Any) -> tuple[str, str]:  # noqa: ANN401
    observation, _, _, _, info = env.step(action.to_text())
    return str(observation["text"]), str(info["status"])


def run(data: Path, folder: Path, agent: str, **params: Any) -> RunResult:  # noqa: ANN401
    spec = RunSpec(
        task=TASK, agent=agent, agent_params=params, sandbox="local", data_root=str(data)
    )
    folder.mkdir()
    return run_one(spec, folder)


def test_the_environment_passes_the_check(data: Path) -> None:
    with TaskEnv(TASK, data_root=data, sandbox="local") as env:
        check_env(env, skip_render_check=True)


def test_files(env: TaskEnv) -> None:
    assert "main.py" in act(env, ListFiles())[0]
    assert act(env, WriteFile(path="methods/a.py", content="x = 1\n"))[1] == "ok"
    assert act(env, AppendFile(path="methods/a.py", content="print(x)\n"))[1] == "ok"
    assert act(env, EditFile(path="methods/a.py", old="x = 1", new="x = 41 + 1"))[1] == "ok"
    assert act(env, CopyFile(source="methods/a.py", destination="b.py"))[1] == "ok"
    text, status = act(env, RunScript(path="b.py"))
    assert status == "ok"
    assert "42" in text
    text, _ = act(env, ReadFile(path="methods/a.py"))
    assert text.endswith("1\tx = 41 + 1\n2\tprint(x)")


def test_an_edit_changes_nothing_else(env: TaskEnv) -> None:
    sandbox: Any = env.episode.workspace.sandbox
    sandbox.write_file(f"{sandbox.workdir}/a.py", b"# caf\xe9\r\nx = 1\n")
    assert act(env, EditFile(path="a.py", old="x = 1", new="x = 2"))[1] == "ok"
    assert sandbox.read_file(f"{sandbox.workdir}/a.py") == b"# caf\xe9\r\nx = 2\n"
    # Half of a surrogate pair, as a model's JSON can hold it.
    half = '{"action": "edit_file", "params": {"path": "a.py", "old": "2", "new": "\\ud800"}}'
    assert env.step(half)[4]["status"] == "ok"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (ReadFile(path="nothing.py"), "cannot be read"),
        (ReadFile(path="methods"), "cannot be read"),
        (EditFile(path="main.py", old="import", new="x"), "times in main.py"),
        (EditFile(path="main.py", old="nothing like it", new="x"), "occurs 0 times"),
        (WriteFile(path="/usr/evil.py", content=""), "cannot be written"),
        (RunScript(path="nothing.py"), "No such file"),
        (RunDev(method="unknown"), "no method 'unknown'"),
        (RunDev(method="../x"), "no method name"),
        (Submit(), "no dev run"),
        (Submit(submission=3), "no dev run 3"),
    ],
)
def test_what_goes_wrong_is_an_observation(env: TaskEnv, action: Any, message: str) -> None:  # noqa: ANN401
    text, status = act(env, action)
    assert status != "ok"
    assert message in text
    assert not env.over


def test_no_change_is_margin_zero_and_the_dev_log_is_the_harnesss(
    data: Path, tmp_path: Path
) -> None:
    result = run(data, tmp_path / "run", "baseline")
    assert result.status == "scored"
    assert result.margin == 0.0
    assert result.research is not None
    assert result.research["level"] == "L3"
    assert result.research["relative_complexity"] == 0.0
    rows = [json.loads(line) for line in (tmp_path / "run" / "dev.jsonl").read_text().splitlines()]
    assert [r["status"] for r in rows] == ["ok"]
    kept = tmp_path / "run" / "snapshots" / rows[0]["snapshot"]
    assert (kept / "methods" / "baseline.py").is_file()


def test_the_reference_closes_the_margin(data: Path, tmp_path: Path) -> None:
    result = run(data, tmp_path / "run", f"{TESTING}:ReferenceResearcher")
    assert result.margin == pytest.approx(100.0, abs=1e-6)
    assert result.research is not None
    assert result.research["level"] == "L6"
    assert result.research["relative_complexity"] > 0
    assert result.research["relative_runtime"] is not None
    again = run(data, tmp_path / "again", f"{TESTING}:ReferenceResearcher")
    assert again.score == result.score


def test_a_cheater_gains_nothing(data: Path, tmp_path: Path) -> None:
    result = run(data, tmp_path / "run", f"{TESTING}:CheatingResearcher")
    assert result.margin == 0.0
    assert result.research is not None
    assert any("main.py was changed, ignored" in r for r in result.research["remarks"])
    notes = list(read_trajectory(tmp_path / "run" / "trajectory.jsonl"))
    assert all("labels at /" not in json.dumps(note) for note in notes if note["type"] != "action")


def test_a_method_that_breaks_on_test_has_margin_zero(data: Path, tmp_path: Path) -> None:
    source = (
        "from methods.baseline import Baseline as Honest\nclass Baseline(Honest):\n"
        "    def predict(self, satellite):\n"
        "        if len(satellite) != 40: raise RuntimeError('only dev')\n"
        "        return 1.01 * Honest.predict(self, satellite)\n"
    )
    register = "from methods.x import Baseline\ndef all_method_handlers(): return {'x': Baseline}\n"
    files = {"methods/x.py": source, "methods/__init__.py": register}
    result = run(data, tmp_path / "run", f"{TESTING}:ScriptedResearcher", files=files, method="x")
    assert result.status == "invalid"
    assert result.margin == 0.0
    assert result.score is None
    assert result.research is not None
    assert result.research["level"] == "L2"
    assert "only dev" in result.research["reason"]


def test_nothing_scored_is_margin_zero(data: Path, tmp_path: Path) -> None:
    files = {"methods/baseline.py": "raise SystemExit(3)"}
    result = run(
        data, tmp_path / "run", f"{TESTING}:ScriptedResearcher", files=files, method="baseline"
    )
    assert (result.status, result.margin) == ("invalid", 0.0)
    assert result.research is not None
    assert result.research["status"] == "untested"


def test_what_a_script_left_running_ends_before_the_test(env: TaskEnv) -> None:
    # It could wait for the method to end and then slow down the baseline beside it.
    script = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); os.close(0); os.close(1); os.close(2)\n"
        "    while True:\n"
        "        open('beat', 'a').write('x'); time.sleep(0.02)\n"
    )
    act(env, WriteFile(path="hog.py", content=script))
    assert act(env, RunScript(path="hog.py"))[1] == "ok"
    act(env, RunDev(method="baseline"))
    episode: Any = env.episode
    episode.final_submission()
    sandbox = episode.workspace.sandbox
    counted = sandbox.exec(["sh", "-c", "wc -c < beat; sleep 0.5; wc -c < beat"], timeout_s=30)
    before, after = map(int, counted.stdout.split())
    assert 0 < before == after
    assert any("left processes running (1 times)" in r for r in episode.result.remarks)


def test_a_baseline_that_fails_is_a_fault_of_ours(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise AnchorError("the baseline: it ran out of memory")

    monkeypatch.setattr("agentbench_agents.research_episode.outcome", broken)
    result = run(data, tmp_path / "run", "baseline")
    assert (result.status, result.margin) == ("infra", None)
    assert "the baseline" in str(result.error)


def test_the_best_dev_run_is_tested_and_ties_go_to_the_earlier(env: TaskEnv) -> None:
    reward = 0.0
    act(env, RunDev(method="baseline"))
    act(env, RunDev(method="baseline"))
    task: Any = env.task
    files: dict[str, str] = {k: v.decode() for k, v in task.reference().items()}
    act(env, WriteFile(path="main.py", content="broken"))
    for name, text in files.items():
        act(env, WriteFile(path=name, content=text))
    observation, reward, _, _, _ = env.step(RunDev(method="strong").to_text())
    assert "best so far" in str(observation["text"])
    assert "main.py was changed, ignored" in str(observation["text"])
    assert reward == pytest.approx(1.0)
    episode: Any = env.episode
    assert isinstance(episode, ResearchEpisode)
    final = episode.final_submission()
    assert final is not None
    assert final.number == 3
    episode.submissions.pop()
    episode.result = None
    tied = episode.final_submission()
    assert tied is not None
    assert tied.number == 1


def test_budgets_hold(data: Path) -> None:
    with TaskEnv(TASK, data_root=data, sandbox="local", budget=Budget(steps=2)) as env:
        env.reset(seed=0)
        act(env, ListFiles())
        _, _, terminated, truncated, _ = env.step(ListFiles().to_text())
        assert (terminated, truncated) == (False, True)


def test_a_feedback_policy_that_is_not_followed_is_refused(data: Path) -> None:
    with pytest.raises(AgentsError, match="feedback validation"):
        TaskEnv(TASK, data_root=data, sandbox="local", feedback="none")
