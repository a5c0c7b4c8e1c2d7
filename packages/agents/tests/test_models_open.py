"""From a specification to a model, and the words when there is none."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from agentbench_agents.models import (
    Completion,
    Message,
    ModelConfigError,
    Sampling,
    ToolCall,
    Usage,
    open_model,
)
from agentbench_agents.models.errors import ModelError, ModelUnavailableError
from agentbench_agents.models.openai import OpenAIModel
from agentbench_agents.models.scripted import ScriptedModel

HELLO: list[Message] = [{"role": "user", "content": "hello"}]

MY_MODELS = """
from agentbench_agents.models import Completion
from agentbench_agents.models.scripted import ScriptedModel
answers = ["one", Completion(text="two")]
def echo(messages):
    return messages[-1]["content"] + "!"
ready = ScriptedModel(["ready"], name="mine")
def factory():
    return ScriptedModel(["made"])
class Own:
    name = "own"
    def complete(self, messages, *, tools=(), sampling=None):
        return Completion(text="own")
    def close(self):
        pass
number = 3
"""


@pytest.fixture
def my_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(MY_MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)


@pytest.mark.usefixtures("my_models")
@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("scripted:my_models:answers", "one"),
        ("scripted:my_models:echo", "hello!"),
        ("my_models:ready", "ready"),
        ("my_models:factory", "made"),
        ("my_models:Own", "own"),
    ],
)
def test_a_module_in_the_working_directory_provides_a_model(spec: str, text: str) -> None:
    assert open_model(spec).complete(HELLO).text == text


@pytest.mark.usefixtures("my_models")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gpt-5", "write SCHEME:NAME"),
        ("openai:", "write SCHEME:NAME"),
        ("nonsense:x", "no module 'nonsense'.*openai"),
        ("my_models:absent", "no attribute 'absent'"),
        ("my_models:number", "is a int, not a model"),
        ("scripted:my_models", "write MODULE:ATTRIBUTE"),
        ("scripted:my_models:number", "neither a list of answers nor a function"),
    ],
)
def test_what_cannot_be_opened_says_why(spec: str, message: str) -> None:
    with pytest.raises(ModelConfigError, match=message) as error:
        open_model(spec)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, ValueError)


def test_without_key_and_address_the_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelConfigError, match="set OPENAI_API_KEY"):
        open_model("openai:gpt-5")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://[::1", "v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ModelConfigError, match="like http://localhost:8000/v1"):
        open_model("openai:x", base_url=url)


def test_a_base_url_for_a_scheme_without_server_is_refused() -> None:
    with pytest.raises(ModelConfigError, match="have no base URL"):
        open_model("scripted:json:dumps", base_url="http://localhost")


def test_a_name_may_contain_colons() -> None:
    model = open_model("openai:llama3:8b", base_url="http://localhost:11434/v1")
    assert model.name == "openai:llama3:8b"
    model.close()


def test_an_installed_entry_point_provides_a_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[agentbench.models]\nparrot = parrots:open_parrot\n")
    (tmp_path / "parrots.py").write_text(
        "from agentbench_agents.models.scripted import ScriptedModel\n"
        "def open_parrot(name, *, base_url, sampling):\n"
        "    return ScriptedModel([f'{name} {base_url} {sampling.seed}'])\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    model = open_model("parrot:polly", base_url="http://x", sampling=Sampling(seed=4))
    assert model.complete(HELLO).text == "polly http://x 4"


def test_a_script_that_runs_out_says_so() -> None:
    model = ScriptedModel(["only"])
    model.complete(HELLO)
    with pytest.raises(ModelConfigError, match="has 1 answers and one more was asked for"):
        model.complete(HELLO)


def test_a_calls_sampling_overrides_the_default_field_by_field() -> None:
    default = Sampling(temperature=0.7, max_tokens=10, stop=("x",))
    assert Sampling(temperature=0.0, logprobs=True).over(default) == Sampling(
        temperature=0.0, max_tokens=10, stop=("x",), logprobs=True
    )


def test_a_completion_becomes_the_message_to_append() -> None:
    call = ToolCall(id="c", name="run", arguments='{"a": 1}')
    assert Completion(text="t", tool_calls=(call,), usage=Usage()).as_message() == {
        "role": "assistant",
        "content": "t",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "run", "arguments": '{"a": 1}'}}
        ],
    }


def test_the_key_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-value")
    model = OpenAIModel("x", base_url="http://user:pass@localhost/v1")
    assert "secret" not in repr(model)
    assert "pass" not in repr(model)


def test_errors_are_also_standard_ones() -> None:
    error = ModelUnavailableError("m", retry_after_s=1.0, throttled=True)
    assert isinstance(error, ConnectionError)
    assert isinstance(error, ModelError)
    assert str(error) == "m"


def test_importing_models_imports_nothing_heavy() -> None:
    code = (
        "import sys, agentbench_agents.models; "
        "print([m for m in ('openai', 'anthropic', 'torch', 'transformers', 'httpx2',"
        " 'genai_prices') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
