"""What happens when a provider fails: bounded, classified, in one sentence, without the key."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Literal
from typing import Protocol as PythonProtocol

import pytest

from agentbench_agents.models import (
    ContextLengthError,
    Message,
    Model,
    ModelConfigError,
    ModelError,
    ModelProtocolError,
    ModelRequestError,
    ModelUnavailableError,
    Sampling,
    open_model,
)
from agentbench_agents.models.anthropic import AnthropicModel
from agentbench_agents.models.gate import Gate
from agentbench_agents.models.openai import OpenAIModel
from agentbench_agents.models.retry import Retry
from agentbench_agents.models.testing import Fault, FaultServer

HELLO: list[Message] = [{"role": "user", "content": "hello"}]
KEY = "sk-test-0123456789abcdefghij"
QUICK = Retry(attempts=3, timeout_s=20, first_wait_s=0.01)


def retry_for(fault: Fault, *, patience_s: float = 0.5) -> Retry:
    endless = fault.kind in {"hang", "trickle"}
    return replace(QUICK, timeout_s=patience_s) if endless else QUICK


Protocol = Literal["whole", "stream", "anthropic"]
PROTOCOLS: list[Protocol] = ["whole", "stream", "anthropic"]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


class Client(PythonProtocol):
    def __call__(
        self,
        protocol: Protocol,
        server: FaultServer,
        *,
        retry: Retry = QUICK,
        gate: Gate | None = None,
    ) -> Model: ...


@pytest.fixture
def client() -> Iterator[Client]:
    """Opens models and closes them after the test."""
    with ExitStack() as opened:

        def make(
            protocol: Protocol,
            server: FaultServer,
            *,
            retry: Retry = QUICK,
            gate: Gate | None = None,
        ) -> Model:
            url = server.base_url
            model: Model = (
                AnthropicModel("any", base_url=url, retry=retry, gate=gate)
                if protocol == "anthropic"
                else OpenAIModel(
                    "any", base_url=url, retry=retry, gate=gate, stream=protocol == "stream"
                )
            )
            return opened.enter_context(closing(model))

        yield make


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_good_answer_is_read(client: Client, protocol: Protocol) -> None:
    with FaultServer(text="a\u2028b\nc") as server:
        answer = client(protocol, server).complete(HELLO)
    assert (answer.text, answer.finish_reason) == ("a\u2028b\nc", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 2)
    assert answer.usage.cost_usd is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_half_a_surrogate_pair_harms_neither_question_nor_answer(
    client: Client, protocol: Protocol
) -> None:
    """Output of a hostile program may hold one, and so may the answer of a server."""
    with FaultServer(text="a\ud800b") as server:
        answer = client(protocol, server).complete([{"role": "user", "content": "x\udfffy"}])
    assert answer.text == "a\ufffdb"
    assert "x\ufffdy" in str(server.seen[0].body)


TRANSIENT = [
    pytest.param(Fault(kind="status", status=status), id=str(status))
    for status in (408, 409, 429, 500, 502, 503, 529)
] + [
    pytest.param(Fault(kind=kind), id=kind)  # pyright: ignore[reportArgumentType] - a table
    for kind in ("hang", "drop", "half", "trickle", "invalid JSON", "wrong JSON", "page")
]
STREAM_ONLY = [
    pytest.param(Fault(kind=kind), id=kind)  # pyright: ignore[reportArgumentType] - a table
    for kind in ("cut stream", "broken stream", "stream error")
]
CASES = [("whole", f) for f in TRANSIENT] + [
    (protocol, fault) for protocol in ("stream", "anthropic") for fault in TRANSIENT + STREAM_ONLY
]
TABLE = [pytest.param(p, f.values[0], id=f"{p}-{f.id}") for p, f in CASES]


@pytest.mark.parametrize(("protocol", "fault"), TABLE)
def test_one_failure_is_retried(client: Client, protocol: Protocol, fault: Fault) -> None:
    with FaultServer([fault]) as server:
        retry = retry_for(fault, patience_s=2.0)  # enough for the good answer on a busy machine
        answer = client(protocol, server, retry=retry).complete(HELLO)
        assert answer.text == "hello"
        assert len(server.seen) == 2


@pytest.mark.parametrize(("protocol", "fault"), TABLE)
def test_failure_for_good_is_infrastructure_after_bounded_attempts(
    client: Client, protocol: Protocol, fault: Fault
) -> None:
    with FaultServer([fault] * 10) as server:
        with pytest.raises((ModelUnavailableError, ModelProtocolError)) as error:
            client(protocol, server, retry=retry_for(fault)).complete(HELLO)
        attempts = len(server.seen)
    text = str(error.value)
    assert server.root_url in text
    assert "\n" not in text
    assert len(text) < 500
    if isinstance(error.value, ModelProtocolError):
        assert attempts == 2  # a wrong address does not mend itself
        assert "check that the base URL is right" in text
    else:
        assert attempts == 3
        assert "(3 attempts in" in text


FATAL = [
    (400, '{"error": {"message": "bad tools"}}', ModelRequestError, "bad tools"),
    (422, '{"detail": "Unexpected fields"}', ModelRequestError, "Unexpected fields"),
    (
        400,
        '{"error": {"message": "This model\'s maximum context length is 8192 tokens"}}',
        ContextLengthError,
        "shorten the conversation",
    ),
    (
        400,
        '{"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}',
        ContextLengthError,
        "shorten the conversation",
    ),
    (413, '{"error": {"message": "too large"}}', ModelRequestError, "too large"),
    (401, '{"error": {"message": "no"}}', ModelConfigError, "_API_KEY"),
    (403, "denied", ModelConfigError, "_API_KEY"),
    (404, '{"error": {"message": "no model any"}}', ModelConfigError, "model name 'any'"),
    (405, "<html>", ModelConfigError, "check the base URL"),
    (
        429,
        '{"error": {"code": "insufficient_quota", "message": "quota"}}',
        ModelUnavailableError,
        "top up",
    ),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("status", "body", "kind", "advice"), FATAL, ids=[f"{f[0]}-{f[3]}" for f in FATAL]
)
def test_what_no_retry_can_mend_fails_at_once(
    client: Client, protocol: Protocol, status: int, body: str, kind: type[ModelError], advice: str
) -> None:
    with FaultServer([Fault(kind="status", status=status, body=body)]) as server:
        with pytest.raises(kind, match=advice):
            client(protocol, server).complete(HELLO)
        assert len(server.seen) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_key_that_the_server_echoes_stays_secret(
    client: Client, protocol: Protocol, status: int
) -> None:
    body = '{"error": {"message": "Incorrect key {authorization} provided"}}'
    with FaultServer([Fault(kind="status", status=status, body=body)] * 3) as server:
        with pytest.raises(ModelError) as error:
            client(protocol, server).complete(HELLO)
        assert any(KEY in value for value in server.seen[0].headers.values())
    assert "[secret]" in str(error.value)
    chain: BaseException | None = error.value
    while chain is not None:
        assert KEY not in repr(chain)
        chain = None if chain.__suppress_context__ else chain.__context__


def test_a_key_that_is_no_header_stays_secret(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nsecond line")
    with FaultServer() as server, pytest.raises(ModelError) as error:
        client("whole", server).complete(HELLO)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_is_not_there_is_named_at_once(client: Client, protocol: Protocol) -> None:
    with FaultServer() as server:
        pass
    waits: list[float] = []
    with pytest.raises(ModelUnavailableError, match=r"Connection refused.*start the server"):
        client(protocol, server, retry=Retry(sleep=waits.append)).complete(HELLO)
    assert waits == []


def test_a_server_that_goes_away_during_a_run_is_waited_for(client: Client) -> None:
    waits: list[float] = []
    with FaultServer() as server:
        model = client("whole", server, retry=Retry(attempts=3, sleep=waits.append))
        model.complete(HELLO)
    with pytest.raises(ModelUnavailableError, match="3 attempts"):
        model.complete(HELLO)
    assert len(waits) == 2


@pytest.mark.parametrize(
    "headers", [(("retry-after", "7"),), (("retry-after-ms", "7000"),)], ids=["s", "ms"]
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_retry_after_is_honoured(
    client: Client, protocol: Protocol, headers: tuple[tuple[str, str], ...]
) -> None:
    waits: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    retry = Retry(attempts=2, first_wait_s=0.001, sleep=sleep)
    gate = Gate(clock=lambda: now[0])
    with FaultServer([Fault(kind="status", status=429, headers=headers)]) as server:
        client(protocol, server, retry=retry, gate=gate).complete(HELLO)
    assert waits == [7.0]


def test_a_wait_beyond_the_total_is_not_begun(client: Client) -> None:
    fault = Fault(kind="status", status=429, headers=(("retry-after", "3600"),))
    slept: list[float] = []
    with FaultServer([fault]) as server, pytest.raises(ModelUnavailableError, match="wait 3600 s"):
        client("whole", server, retry=Retry(total_s=60, sleep=slept.append)).complete(HELLO)
    assert slept == []


def test_a_trickle_ends_at_the_deadline(client: Client) -> None:
    retry = Retry(attempts=1, timeout_s=0.4)
    began = time.monotonic()
    with (
        FaultServer([Fault(kind="trickle", seconds=600)]) as server,
        pytest.raises(ModelUnavailableError, match=r"no complete answer within 0\.4 s"),
    ):
        client("whole", server, retry=retry).complete(HELLO)
    assert time.monotonic() - began < 60


def test_what_is_asked_for_is_what_is_sent(client: Client) -> None:
    sampling = Sampling(
        temperature=0.0, top_p=0.5, max_tokens=9, seed=0, stop=("x",), logprobs=True
    )
    with FaultServer() as server:
        with closing(open_model("openai:m", base_url=server.base_url, sampling=sampling)) as model:
            model.complete(HELLO)
        client("whole", server).complete(HELLO)
    assert server.seen[0].body == {
        "model": "m",
        "messages": HELLO,
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 9,
        "seed": 0,
        "stop": ["x"],
        "logprobs": True,
    }
    assert server.seen[1].body == {"model": "any", "messages": HELLO}


def test_extra_fields_of_a_server_are_sent() -> None:
    with FaultServer() as server:
        extra = {"return_token_ids": True, "chat_template_kwargs": {"enable_thinking": False}}
        with closing(OpenAIModel("m", base_url=server.base_url, extra_body=extra)) as model:
            model.complete(HELLO)
    assert server.seen[0].body["return_token_ids"] is True


def test_concurrency_falls_to_what_a_server_carries(client: Client) -> None:
    """32 threads against a server that carries 4: everything is answered, nobody starves."""
    gate = Gate(start=32, most=32)
    retry = Retry(attempts=50, first_wait_s=0.02, longest_wait_s=0.1)
    with FaultServer(capacity=4, delay_s=0.01) as server:
        model = client("whole", server, retry=retry, gate=gate)
        with ThreadPoolExecutor(32) as pool:
            answers = [pool.submit(model.complete, HELLO) for _ in range(160)]
            texts = [answer.result().text for answer in answers]
        refused = len(server.seen) - 160
    assert texts == ["hello"] * 160
    assert gate.limit <= 16
    assert refused < 160  # 32 at once for ever would be refused seven times of eight


def test_a_hang_does_not_hold_the_others(client: Client) -> None:
    failed = threading.Event()
    with FaultServer([Fault(kind="hang", seconds=600)]) as server:
        model = client("whole", server, retry=Retry(attempts=1, timeout_s=300))

        def hung() -> None:
            with pytest.raises(ModelUnavailableError):
                model.complete(HELLO)
            failed.set()

        thread = threading.Thread(target=hung)
        thread.start()
        while not server.seen:
            time.sleep(0.01)
        assert model.complete(HELLO).text == "hello"
        assert not failed.is_set()
    thread.join(timeout=60)  # the server has hung up
    assert failed.is_set()


@pytest.mark.parametrize("make", [OpenAIModel, AnthropicModel], ids=["openai", "anthropic"])
def test_no_key_reaches_a_server_that_needs_none(
    make: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with FaultServer() as server, closing(make("m", base_url=server.base_url)) as model:
        assert model.complete(HELLO).text == "hello"
    headers = {key.lower(): value for key, value in server.seen[0].headers.items()}
    assert "none" in (headers.get("authorization", "") + headers.get("x-api-key", ""))
