"""Any command-line agent, inside the sandbox, with its model behind a recording proxy.

The command sees an OpenAI-compatible server on loopback (`OPENAI_BASE_URL`) and an address to act
in the environment (`AGENTBENCH_STEP_URL`). Its sandbox has no network: a relay inside hands each
request to the host, where the environment and the model that every agent gets answer, record and
enforce the budget. What the command leaves as `submission.csv` is its submission.
"""

import json
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from agentbench_agents.actions import ExecuteCode, RequestInfo
from agentbench_agents.errors import (
    AgentParameterError,
    BudgetExceededError,
    EpisodeOverError,
    WorkspaceError,
)
from agentbench_agents.models.chat_server import Answer, answer, error
from agentbench_agents.models.errors import ModelRequestError
from agentbench_agents.search.operators import fill

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model
    from agentbench_sandbox import Kernel

TASK_FILE = "TASK.md"
_LEFT = ".black_box/submission.csv"
_POLL_S = 0.25
# A program of the environment, so that the file is graded like any other and the step is recorded.
_SUBMIT = f"import shutil\nshutil.copyfile({_LEFT!r}, 'submission.csv')\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackBoxAgent:
    """Runs a command that finds the task in `TASK.md` and a model at `OPENAI_BASE_URL`.

    Attributes:
        command: Shell command; its working directory is the sandbox's.
        timeout_s: Longest run of the command, beside the budget's wall time.
    """

    command: str
    timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        if not self.command.strip() or self.timeout_s <= 0:
            raise ValueError(
                f"command must not be empty and timeout_s positive, "
                f"not {self.command!r} and {self.timeout_s}"
            )

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Run the command to its end, then submit what it left."""
        sandbox = env.episode.workspace.sandbox
        sandbox.write_file(f"{sandbox.workdir}/{TASK_FILE}", _task_text(env))
        with sandbox.python() as kernel:
            _start(kernel, self.command)
            code = _serve(kernel, env, model, self.timeout_s)
        _keep(env, code)
        if not env.over and _set_aside(env):
            env.step(ExecuteCode(code=_SUBMIT).to_text())


def _task_text(env: "TaskEnv") -> str:
    greeting = str(env.observation["text"])
    overview = str(env.step(RequestInfo(info_type="overview").to_text())[0]["text"])
    template = files("agentbench_agents.agents").joinpath("black_box_task.md.txt")
    text = template.read_text("utf-8")
    return fill(text, {"greeting": greeting, "overview": overview})


def _start(kernel: "Kernel", command: str) -> None:
    relay = files("agentbench_agents.agents").joinpath("black_box_relay.py.txt").read_text("utf-8")
    env = {
        "OPENAI_BASE_URL": "{relay}/v1",
        "OPENAI_API_BASE": "{relay}/v1",
        "OPENAI_API_KEY": "none-needed",
        "AGENTBENCH_STEP_URL": "{relay}/step",
        "AGENTBENCH_TASK": TASK_FILE,
    }
    started = kernel.run(f"{relay}\nstart({command!r}, {env!r})\n", timeout_s=30)
    if started.error is not None:
        raise AgentParameterError(
            f"the sandbox cannot serve on its own loopback ({started.error.message}); "
            "use docker or bubblewrap"
        )


def _serve(kernel: "Kernel", env: "TaskEnv", model: "Model", timeout_s: float) -> int | None:
    """Answer until the command has ended; return its exit code, None if it was ended."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and env.spend.exceeded() is None:
        taken = kernel.run(f"take({_POLL_S})", timeout_s=30)
        try:
            told = json.loads(taken.stdout)
            asked, exit_code = told["asked"], told["exit_code"]
        except (ValueError, KeyError, TypeError):
            return None  # the command has ended its own relay
        if asked is not None:
            reply = _reply(asked, env, model)
            given = (asked["id"], reply.status, reply.kind, reply.body)
            kernel.run(f"give(*{given!r})", timeout_s=30)
        elif exit_code is not None:
            return int(exit_code)
    return None


def _reply(asked: dict[str, Any], env: "TaskEnv", model: "Model") -> Answer:
    if asked["path"].rstrip("/") == "/step":
        try:
            observation, reward, *_ = env.step(asked["body"])
        except EpisodeOverError as over:
            return error(429, str(over))
        told = {"text": observation["text"], "reward": reward, "steps_left": env.spend.steps_left}
        return Answer(status=200, kind="application/json", body=json.dumps(told))
    try:
        return answer(model, path=asked["path"], body=asked["body"])
    except BudgetExceededError as spent:
        return error(429, str(spent))
    except ModelRequestError as refused:
        return error(400, str(refused))


def _keep(env: "TaskEnv", exit_code: int | None) -> None:
    """Record how the command ended and the end of what it printed."""
    sandbox = env.episode.workspace.sandbox
    tails: dict[str, str] = {}
    for stream in ("stdout", "stderr"):
        path = f".black_box/{stream}.txt"
        shown = sandbox.exec(["tail", "-c", "20000", path], timeout_s=30, cwd=sandbox.workdir)
        tails[stream] = shown.stdout
    env.trajectory.append("note", {"command_ended": exit_code, **tails})


def _set_aside(env: "TaskEnv") -> bool:
    """Move the submission out of the way of the program that hands it in; False if there is none.

    Raises:
        WorkspaceError: The command has left the directory so that nothing can run in it.
    """
    sandbox = env.episode.workspace.sandbox
    found = sandbox.exec(["test", "-f", "submission.csv"], timeout_s=30, cwd=sandbox.workdir)
    if not found.ok:
        return False
    moved = sandbox.exec(["mv", "submission.csv", _LEFT], timeout_s=30, cwd=sandbox.workdir)
    if not moved.ok:
        raise WorkspaceError(f"submission.csv cannot be moved: {moved.stderr.strip()}")
    return True
