"""The programs in examples/ run, in an environment of their own, as their first lines say."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SCRIPT = """
import json
from agentbench_agents.models import Completion, ToolCall
from agentbench_agents.models.scripted import ScriptedModel

CODE = "import shutil; shutil.copyfile('input/sample_submission.csv', 'submission.csv')"


def call(name, params):
    return Completion(
        text="", tool_calls=(ToolCall(id=name, name=name, arguments=json.dumps(params)),)
    )


def model():
    return ScriptedModel(
        [
            call("request_info", {"info_type": "overview"}),
            call("execute_code", {"code": CODE}),
            call("get_history", {"last": 2}),
            "I am done.",
        ]
    )
"""


@pytest.mark.slow
def test_an_agent_on_the_openai_agents_sdk(tmp_path: Path) -> None:
    (tmp_path / "scripted_talk.py").write_text(SCRIPT)
    packages = [str(ROOT / "packages" / name) for name in ("scoring", "sandbox", "tasks")]
    agents = f"{ROOT / 'packages' / 'agents'}[openai,quickstart]"
    run = ["uv", "run", "-q", "--isolated", "--no-project", "--python", "3.11"]
    for package in [*packages, agents, "openai-agents>=0.24"]:
        run += ["--with", package]
    command = "agentbench run diabetes --agent openai_agents_sdk:SDKAgent --sandbox local --json"
    done = subprocess.run(
        [*run, *command.split(), "--model", "scripted_talk:model", "--out", str(tmp_path / "runs")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'examples'}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = json.loads(done.stdout)
    assert (result["status"], result["steps"]) == ("scored", 3)
    events = (tmp_path / "runs" / result["run_id"] / "trajectory.jsonl").read_text().splitlines()
    talk = [e for e in map(json.loads, events) if e["type"] == "message"]
    assert [m["role"] for m in talk][:4] == ["system", "user", "assistant", "tool"]
    assert talk[-1]["content"] == "I am done."
    actions = [e for e in map(json.loads, events) if e["type"] == "action"]
    said = [m["id"] for m in talk if m["role"] == "assistant"]
    assert [a["message"] for a in actions] == said[:3]
    assert all("tools" in m for m in talk if m["role"] == "assistant")
