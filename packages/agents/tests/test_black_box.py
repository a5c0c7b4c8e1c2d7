import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentbench_agents import Budget, Campaign, RunResult, RunSpec
from agentbench_agents.models.chat_server import answer
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.trajectory import read_trajectory

# A command-line agent such as people bring: it knows two environment variables and HTTP.
CLIENT = """
import json, os, sys, urllib.request
def post(url, data):
    body = json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
task = open(os.environ["AGENTBENCH_TASK"]).read()
ask = {"model": "any", "messages": [{"role": "user", "content": task}]}
said = post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", ask)
code = said["choices"][0]["message"]["content"]
seen = post(os.environ["AGENTBENCH_STEP_URL"], {"action": "request_info",
                                                "params": {"info_type": "name"}})
print(seen["text"], seen["steps_left"])
exec(code)
"""
SAMPLE = "import shutil; shutil.copyfile('input/sample_submission.csv', 'submission.csv')"


def script() -> ScriptedModel:
    """The model that the command reaches: every answer is a program."""
    return ScriptedModel([SAMPLE] * 10, name="scripted")


Run = Callable[..., tuple[RunResult, list[dict[str, Any]]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(
        command: str,
        budget: Budget = Budget(steps=6),  # noqa: B008 - frozen
    ) -> tuple[RunResult, list[dict[str, Any]]]:
        campaign = Campaign(tmp_path / "runs")
        asked = RunSpec(
            task="diabetes",
            agent="black_box",
            agent_params={"command": command, "timeout_s": 60},
            model=f"{Path(__file__).stem}:script",
            sandbox="local",
            data_root=str(tmp_path / "data"),
            budget=budget,
        )
        (result,) = campaign.execute(campaign.plan([asked]))
        path = tmp_path / "runs" / result.run_id / "trajectory.jsonl"
        return result, list(read_trajectory(path))

    return go


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)


def test_a_command_is_served_recorded_and_scored(run: Run) -> None:
    result, events = run(f"cat > client.py <<'END'\n{CLIENT}\nEND\npython client.py")
    assert result.status == "scored", events[-2]
    talk = [e for e in events if e["type"] == "message"]
    assert [e["role"] for e in talk] == ["user", "assistant"]
    assert "Task: diabetes" in talk[0]["content"]
    actions = [e["action"] for e in events if e["type"] == "action"]
    assert actions == ["request_info", "request_info", "execute_code"]
    (ended,) = [e for e in events if "command_ended" in e]
    assert ended["command_ended"] == 0
    assert ended["stdout"].startswith("diabetes 4")


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        pytest.param("exit 3", "failed", 3, id="fails"),
        pytest.param("echo nonsense > submission.csv", "invalid", 0, id="writes-nonsense"),
        pytest.param("mkdir submission.csv", "failed", 0, id="a-directory-is-no-submission"),
        pytest.param("ln -s /etc/passwd submission.csv", "invalid", 0, id="a-link-out"),
        pytest.param("kill -9 $PPID", "failed", None, id="kills-its-own-relay"),
        pytest.param("rm -rf .black_box; exit 0", "failed", 0, id="removes-the-record"),
    ],
)
def test_what_a_command_does_is_its_own_score(
    run: Run, command: str, status: str, code: int | None
) -> None:
    result, events = run(command)
    assert result.status == status
    assert [e["command_ended"] for e in events if "command_ended" in e] == [code]


def test_a_command_that_hangs_is_ended_with_the_budget(run: Run) -> None:
    result, events = run("sleep 600", budget=Budget(steps=6, wall_s=4.0))
    assert result.status == "failed"
    assert [e["command_ended"] for e in events if "command_ended" in e] == [None]


def test_the_secrets_of_the_host_stay_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-secret")
    _, events = run("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
    (ended,) = [e for e in events if "command_ended" in e]
    assert "OPENAI_API_KEY=none-needed" in ended["stdout"]
    assert "planted" not in json.dumps(events)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v1/models", "", 200, "scripted"),
        ("/v1/chat/completions", "{}", 400, "messages: Field required"),
        ("/v1/chat/completions", "not json", 400, "Invalid JSON"),
        ("/v1/chat/completions", '{"messages": [{"role": "king", "content": ""}]}', 400, "role"),
        ("/v1/responses", "{}", 404, "chat/completions"),
    ],
)
def test_the_proxy_speaks_the_protocol(path: str, body: str, status: int, says: str) -> None:
    found = answer(ScriptedModel(["hello"], name="scripted"), path=path, body=body)
    assert found.status == status
    assert says in found.body


@pytest.mark.parametrize("stream", [False, True])
def test_the_openai_client_reads_the_answers(stream: bool) -> None:
    """What we serve is what our own reader of foreign servers reads."""
    from agentbench_agents.models.chat_completion import parse, parse_stream

    request = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    found = answer(
        ScriptedModel(["hello"], name="scripted"),
        path="/v1/chat/completions",
        body=json.dumps({**request, "stream": stream}),
    )
    if stream:
        lines = [line[6:].encode() for line in found.body.split("\n\n") if line]
        assert parse_stream(lines).text == "hello"
    else:
        assert parse(found.body.encode()).text == "hello"
