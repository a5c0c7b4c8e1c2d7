"""What a call costs on top of the official client.

    python packages/agents/benchmarks/bench_models.py

One server, answers of a few bytes, calls in turn; medians of 300, in the order client, ours,
client, ours, so that a busy machine harms both alike.
"""

import statistics
import time
from collections.abc import Callable

import openai

from agentbench_agents.models.openai import OpenAIModel
from agentbench_agents.models.scripted import ScriptedModel
from agentbench_agents.models.testing import FaultServer

MESSAGES = [{"role": "user", "content": "hello " * 200}]
CALLS = 300


def median_ms(call: Callable[[], object]) -> float:
    for _ in range(20):
        call()
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


with FaultServer() as server:
    client = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
    ours = OpenAIModel("m", base_url=server.base_url)
    scripted = ScriptedModel(lambda _: "hello")
    theirs_ms, ours_ms = [], []
    for _ in range(2):
        theirs_ms.append(
            median_ms(lambda: client.chat.completions.create(model="m", messages=MESSAGES))
        )
        ours_ms.append(median_ms(lambda: ours.complete(MESSAGES)))
    print(f"openai client {min(theirs_ms):.3f} ms, OpenAIModel {min(ours_ms):.3f} ms a call,")
    print(f"ratio {min(ours_ms) / min(theirs_ms):.2f};", end=" ")
    print(f"ScriptedModel {median_ms(lambda: scripted.complete(MESSAGES)) * 1e3:.2f} us")
    client.close()
    ours.close()
