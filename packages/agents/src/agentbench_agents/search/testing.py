"""For tests and benchmarks: a model that writes real scikit-learn programs, well and badly.

`ScriptedProgrammer` reads the prompts of `search/prompts` as a language model would: task, programs
and what was tried are taken from the text alone. Its draft is a random estimator with random
settings, its improvement changes one setting, its crossover takes each setting from either parent,
its ensemble averages. Some programs have a bug, which it fixes when it is asked to. Draws depend on
the conversation and on `Sampling.seed`, so it answers the same whoever asks first.
"""

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from agentbench_agents.agents.baseline import program
from agentbench_agents.models import Completion, Message, Sampling, ToolSchema, Usage

_CHOICES = re.compile(r"^CHOICES = json\.loads\('(.*)'\)$", re.MULTILINE)
_BUG = "undefined_name  # what a hasty programmer leaves behind\n"
_START = "train, test = read("
_MAKE = """\
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

CHOICES = json.loads('__CHOICES__')


def make(name, classify):
    c = CHOICES
    if name == "linear":
        inner = LogisticRegression(C=c["c"], max_iter=300) if classify else Ridge(1 / c["c"])
        return make_pipeline(StandardScaler(), inner)
    if name == "forest":
        kind = ExtraTreesClassifier if classify else ExtraTreesRegressor
        return kind(c["trees"], min_samples_leaf=c["leaf"], max_depth=c["depth"], random_state=SEED)
    if name == "boosting":
        kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
        return kind(
            max_iter=c["rounds"], learning_rate=c["rate"], max_leaf_nodes=c["leaf"] + 1,
            random_state=SEED,
        )
    kind = KNeighborsClassifier if classify else KNeighborsRegressor
    return make_pipeline(StandardScaler(), kind(c["neighbours"]))


"""


class ScriptedProgrammer:
    """A model for the operators of a search, `one_shot` and `react`.

    Args:
        bugs: How likely a new program has a bug.
        unreadable: How likely an answer has no block of code.
    """

    def __init__(self, *, bugs: float = 0.2, unreadable: float = 0.1) -> None:
        self.bugs = bugs
        self.unreadable = unreadable

    @property
    def name(self) -> str:
        """What it is."""
        return "scripted:programmer"

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),  # noqa: ARG002 - the protocol's signature
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    ) -> Completion:
        """Write a program for the latest prompt that holds a task."""
        rng = Random(f"{sampling.seed} {json.dumps(list(messages))}")
        if rng.random() < self.unreadable:
            return _completion("I would fit a model. Shall I write the program?")
        prompt = next(str(m["content"]) for m in messages if "## metadata" in m["content"])
        parents = [json.loads(found) for found in _CHOICES.findall(prompt)]
        buggy = rng.random() < self.bugs
        if "This program failed." in prompt:
            plan, choices, buggy = "I remove the name that is not defined.", parents[0], False
        else:
            plan, choices = _next(prompt, parents, rng)
        code = write_program(json.loads(_metadata(prompt)), choices, buggy=buggy)
        return _completion(f"{plan}\n\n```python\n{code}```\n")

    def close(self) -> None:
        """Nothing is open."""


def random_choices(rng: Random) -> dict[str, Any]:
    """Draw an estimator and all settings, wide enough that many are poor."""
    return {
        "models": [rng.choice(["linear", "forest", "boosting", "neighbours"])],
        "c": round(10 ** rng.uniform(-4, 1.5), 6),
        "trees": rng.randint(5, 60),
        "leaf": rng.randint(1, 30),
        "depth": rng.randint(1, 14),
        "rounds": rng.randint(5, 40),
        "rate": round(10 ** rng.uniform(-2, -0.3), 4),
        "neighbours": rng.randint(1, 60),
    }


def write_program(spec: dict[str, Any], choices: dict[str, Any], *, buggy: bool = False) -> str:
    """Return the program with these settings for a task of `RequestInfo("metadata")`."""
    source = program(spec, choices["models"]).replace("(5, shuffle", "(3, shuffle")
    made = _MAKE.replace("__CHOICES__", json.dumps(choices))
    source = source.replace(_START, f"{made}{_BUG if buggy else ''}{_START}")
    return source + 'print(f"validation: {abs(np.mean(scores)):.6f}")\n'


def _next(prompt: str, parents: list[dict[str, Any]], rng: Random) -> tuple[str, dict[str, Any]]:
    fresh = random_choices(rng)
    if not parents:
        return f"A first program with {fresh['models'][0]}.", fresh
    if "fits the methods of all these" in prompt:
        models = sorted({m for parent in parents for m in parent["models"]})
        return f"The mean of {', '.join(models)}.", {**parents[0], "models": models}
    if len(parents) > 1:
        mixed = {k: rng.choice([p[k] for p in parents[:2]]) for k in fresh}
        return "Each setting from one of the two.", mixed
    used = {
        "linear": ["c"],
        "forest": ["trees", "leaf", "depth"],
        "boosting": ["rounds", "rate", "leaf"],
        "neighbours": ["neighbours"],
    }
    gene = rng.choice(["models", *(g for m in parents[0]["models"] for g in used[m])])
    return f"I change {gene} to {fresh[gene]}.", {**parents[0], gene: fresh[gene]}


def _metadata(prompt: str) -> str:
    begin = prompt.index("{", prompt.index("## metadata"))
    return json.dumps(json.JSONDecoder().raw_decode(prompt, begin)[0])


def _completion(text: str) -> Completion:
    usage = Usage(prompt_tokens=100, completion_tokens=len(text) // 4)
    return Completion(text=text, usage=usage, finish_reason="stop")
