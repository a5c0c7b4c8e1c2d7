"""An agent without a language model, which works as one would: it reads, tries, compares, improves.

In a research task it submits the baseline that is there. It only uses the actions of the
environment. It asks what the task is, checks its first program on
a sample, runs several scikit-learn models, each of which prints its own cross-validated score,
blends the best two by that score, and submits the best.
"""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from agentbench_agents.actions import Action, ExecuteCode, RequestInfo, Submit, ValidateCode
from agentbench_agents.research_actions import ListFiles, ReadFile, RunDev

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model

MODELS = ("linear", "boosting", "forest", "kernel")
_CROSS_VALIDATED = re.compile(r"^cross-validated (\S+) \(higher is better\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Tries scikit-learn models one after the other and blends the best two."""

    needs_model = False

    def run(self, env: "TaskEnv", model: "Model") -> None:  # noqa: ARG002 - it has no use for one
        """Work through the environment's actions only."""
        if env.is_research:
            submit_method(env, "baseline")
            return
        about = _ask(env, "metadata")
        if about is None:
            return
        for info_type in ("overview", "data_structure", "sample_submission"):
            if not env.over:
                env.step(RequestInfo(info_type=info_type).to_text())
        spec = json.loads(about)
        if not env.over:
            env.step(ValidateCode(code=program(spec, [MODELS[0]])).to_text())
        scores: dict[str, float] = {}
        for name in MODELS:
            text = _act(env, ExecuteCode(code=program(spec, [name])))
            found = _CROSS_VALIDATED.search(text)
            if found is not None:
                scores[name] = float(found[1])
        best = sorted(scores, key=lambda name: scores[name], reverse=True)[:2]
        if len(best) == 2:
            _act(env, ExecuteCode(code=program(spec, best)))
        _act(env, Submit())


def submit_method(env: "TaskEnv", method: str) -> None:
    """Read the repository, score one of its methods on dev, and submit it."""
    for action in (ListFiles(), ReadFile(path="methods/baseline.py"), RunDev(method=method)):
        _act(env, action)
    _act(env, Submit())


def program(spec: dict[str, Any], models: list[str]) -> str:
    """Return the Python program that fits `models` and writes the mean of their predictions."""
    keys = ("metric", "higher_is_better", "id_columns", "target_columns")
    header = json.dumps({**{key: spec[key] for key in keys}, "models": models})
    source = files("agentbench_agents.agents").joinpath("tabular.py.txt").read_text("utf-8")
    return source.replace("__SPEC__", repr(header))


def _ask(env: "TaskEnv", info_type: Any) -> str | None:  # noqa: ANN401 - one of InfoType
    observation, _, _, _, info = env.step(RequestInfo(info_type=info_type).to_text())
    return observation["text"] if info["status"] == "ok" and not env.over else None


def _act(env: "TaskEnv", action: Action) -> str:
    return "" if env.over else str(env.step(action.to_text())[0]["text"])
