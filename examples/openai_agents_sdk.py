"""An agent on the OpenAI Agents SDK: its tools are the environment's tool manifest.

    pip install agentbench-agents[openai,quickstart] openai-agents
    PYTHONPATH=examples agentbench run digits --agent openai_agents_sdk:SDKAgent \
        --model openai:gpt-5

The SDK speaks to an in-process transport instead of a server, so that every completion goes through
the model that agentbench hands to an agent: recorded, counted and held to the budget. Model and
environment are called from one thread: a trajectory names the message that an action follows.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from agents import Agent, FunctionTool, OpenAIChatCompletionsModel, RunConfig, Runner
from openai import AsyncOpenAI

from agentbench_agents.actions import tool_manifest
from agentbench_agents.models.chat_server import answer

if TYPE_CHECKING:
    from agentbench_agents import TaskEnv
    from agentbench_agents.models import Model


class Transport(httpx2.AsyncBaseTransport):
    """Answers HTTP requests with a model of ours, in this process."""

    def __init__(self, model: "Model") -> None:
        self.model = model
        self.stopped: Exception | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request for a chat completion; keep what ends the run to raise it outside."""
        body = (await request.aread()).decode()
        try:
            found = answer(self.model, path=request.url.path, body=body)
        except Exception as error:  # noqa: BLE001 - raised again by SDKAgent.run
            self.stopped = error
            return httpx2.Response(400, json={"error": {"message": str(error)}})
        headers = {"content-type": found.kind}
        return httpx2.Response(found.status, headers=headers, text=found.body)


def tools(env: "TaskEnv") -> list[FunctionTool]:
    """Return each action of the environment as a tool of the SDK."""

    def tool(schema: dict[str, Any]) -> FunctionTool:
        name = schema["name"]

        async def act(_: Any, arguments: str) -> str:  # noqa: ANN401 - the SDK's context
            if env.over:
                return "The episode is over."
            try:
                params = json.loads(arguments or "{}")
            except ValueError as error:
                return f"The arguments are not JSON: {error}"
            step = json.dumps({"action": name, "params": params})
            observation, *_ = env.step(step)
            return str(observation["text"])

        return FunctionTool(
            name=name,
            description=schema["description"],
            params_json_schema=schema["parameters"],
            on_invoke_tool=act,
            strict_json_schema=False,
        )

    return [tool(entry["function"]) for entry in tool_manifest(env.actions)]


@dataclass(frozen=True, kw_only=True)
class SDKAgent:
    """Lets the SDK's loop work until it answers without a tool call, or the budget is spent."""

    turns: int = 30

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Work on the task."""
        transport = Transport(model)
        client = AsyncOpenAI(
            base_url="http://recorded/v1",
            api_key="none-needed",
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=transport),
        )
        agent = Agent(
            name="engineer",
            instructions="Solve the task with the tools. Submit when you cannot improve any more.",
            model=OpenAIChatCompletionsModel(model=model.name, openai_client=client),
            tools=tools(env),
        )
        greeting = str(env.observation["text"])
        config = RunConfig(tracing_disabled=True)
        try:
            asyncio.run(Runner.run(agent, greeting, max_turns=self.turns, run_config=config))
        except Exception as error:
            raise (transport.stopped or error) from error
