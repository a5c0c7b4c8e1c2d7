"""Tree search in a real environment and sandbox, with small programs of the standard library."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agentbench_agents import AgentsError, Budget, TaskEnv
from agentbench_agents.agents import find_agent
from agentbench_agents.models import Completion, Message, Model, ModelUnavailableError, Sampling
from agentbench_agents.models.replay import ReplayModel
from agentbench_agents.recording import RecordedModel
from agentbench_agents.search.hidden_split import NoSplitError, make_split
from agentbench_agents.trajectory import Trajectory, read_trajectory
from agentbench_tasks import load_task, prepare

# The nearest neighbour on the first columns; how many is all that the programs here differ in.
PROGRAM = """\
import csv
columns = {columns}
train = list(csv.DictReader(open("input/train.csv")))
test = list(csv.DictReader(open("input/test.csv")))
names = [n for n in train[0] if n not in ("id", "cultivar")][:columns]
def label(row):
    def away(other):
        return sum(abs(float(other[n]) - float(row[n])) for n in names)
    return min(train, key=away)["cultivar"]
with open("submission.csv", "w") as file:
    file.write("id,cultivar\\n" + "".join(f"{{r['id']}},{{label(r)}}\\n" for r in test))
print("validation: {printed}")
"""


def good(columns: int, printed: str = "0.5") -> str:
    return PROGRAM.format(columns=columns, printed=printed)


def answer(plan: str, code: str) -> str:
    return f"{plan}\n```python\n{code}```"


class Programmer:
    """Answers each prompt by a function of it and of the seed; repeatable in any order."""

    name = "scripted:test"

    def __init__(self, write: Callable[[str, Random], str]) -> None:
        self.write = write
        self.prompts: list[str] = []
        self.seeds: list[int | None] = []

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Any] = (),
        sampling: Sampling = Sampling(),  # noqa: B008
    ) -> Completion:
        del tools
        prompt = messages[-1]["content"]
        self.prompts.append(prompt)
        self.seeds.append(sampling.seed)
        return Completion(text=self.write(prompt, Random(f"{sampling.seed} {prompt}")))

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


class Run:
    """What a run left behind."""

    def __init__(self, env: TaskEnv, directory: Path) -> None:
        self.env = env
        self.events = list(read_trajectory(directory / "trajectory.jsonl"))
        self.nodes: list[dict[str, Any]] = [e["node"] for e in self.events if "node" in e]
        self.final = env.episode.final_submission()

    def note(self, key: str) -> Any:  # noqa: ANN401
        return next((e[key] for e in self.events if e["type"] == "note" and key in e), None)


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    made: list[TaskEnv] = []

    def start(
        agent: str,
        model: Model,
        params: Mapping[str, Any] | None = None,
        *,
        task: str = "wine",
        seed: int = 0,
        **options: Any,  # noqa: ANN401
    ) -> Run:
        directory = tmp_path / str(len(made))
        directory.mkdir()
        with Trajectory(directory / "trajectory.jsonl") as trajectory:
            env = TaskEnv(
                task,
                data_root=data,
                sandbox="local",
                directory=directory,
                trajectory=trajectory,
                **options,
            )
            made.append(env)
            env.reset(seed=seed)
            recorded = RecordedModel(model, trajectory=trajectory, spend=env.spend)
            find_agent(agent, params).run(env, recorded)
        return Run(env, directory)

    yield start
    for env in made:
        env.close_forks()
        env.close()


def roughly(prompt: str, rng: Random) -> str:
    """Write programs of every quality, some broken, some unreadable."""
    if rng.random() < 0.15:
        return "Let me think about it."
    broken = "" if "This program failed." in prompt or rng.random() < 0.7 else "1 / 0\n"
    columns = rng.randint(1, 13)
    return answer(f"I look at {columns} columns.", broken + good(columns))


POLICIES = ("greedy", "mcts", "evolutionary")


@pytest.mark.parametrize("policy", POLICIES)
def test_it_searches_chooses_runs_and_submits(policy: str, run: Callable[..., Run]) -> None:
    params = {"policy": policy, "top_k": 2}
    done = run("tree", Programmer(roughly), params, budget=Budget(steps=12))
    assert done.env.spend.steps <= 12
    assert [n["id"] for n in done.nodes] == [1, 2, 3, 4, 5, 6, 7]  # 12 - 1 - 2 - 2
    metrics = {n["id"]: n["metric"] for n in done.nodes if n["metric"] is not None}
    assert done.final is not None
    assert done.env.over
    chosen = done.note("selection")
    assert chosen["order"][0] in metrics
    held_out = {int(k): v for k, v in chosen["held_out"].items()}
    assert held_out[chosen["order"][0]] == max(held_out.values())
    # The environment itself has run one program only; what forks submitted does not count.
    assert len(done.env.episode.submissions) == 1
    final = metrics[chosen["order"][0]]
    assert done.final.shown is not None
    assert done.final.shown.score == final


@pytest.mark.parametrize("policy", POLICIES)
def test_under_replay_workers_and_one_are_equal_bit_for_bit(
    policy: str, run: Callable[..., Run], tmp_path: Path
) -> None:
    params = {"policy": policy, "in_flight": 4, "top_k": 2}
    recording = tmp_path / "answers.jsonl"
    budget = Budget(steps=14)
    recorder = ReplayModel(recording, Programmer(roughly), mode="record")
    first = run("tree", recorder, {**params, "workers": 1}, budget=budget)
    for workers in (4, 2):
        again = run("tree", ReplayModel(recording), {**params, "workers": workers}, budget=budget)
        assert fingerprint(again) == fingerprint(first)


def fingerprint(done: Run) -> list[str]:
    """All of a run but times, ids of events, and numbers that count over branches.

    Of a message, what it follows is a part; of an action, the conversation that led to it.
    """
    assert done.final is not None
    events = {e["id"]: e for e in done.events}

    def talk(number: int | None) -> list[str]:
        event = events[number] if number else None
        return [*talk(event["parent"]), event["role"], event["content"]] if event else []

    said = [talk(e["id"]) for e in done.events if e["type"] == "message"]
    acted = [
        [e["action"], e["params"], talk(e.get("message"))]
        for e in done.events
        if e["type"] == "action"
    ]
    return [
        *(json.dumps(n) for n in done.nodes),
        json.dumps(done.note("selection")),
        done.final.sha256,
        *sorted(json.dumps(one) for one in (*said, *acted)),
        hashlib.sha256(done.final.path.read_bytes()).hexdigest(),
    ]


def test_each_expansion_has_a_seed_of_its_own_and_another_run_others(
    run: Callable[..., Run],
) -> None:
    seeds: list[set[int | None]] = []
    for seed in (0, 0, 1):
        model = Programmer(lambda _, rng: answer("p", good(rng.randint(1, 5))))
        run("tree", model, {"top_k": 1}, seed=seed, budget=Budget(steps=6))
        seeds.append(set(model.seeds))
    assert seeds[0] == seeds[1] != seeds[2]
    assert len(seeds[0]) == 3


# -- known failures of AIDE -----------------------------------------------------------------------


def test_an_integer_metric_works(run: Callable[..., Run]) -> None:
    model = Programmer(lambda _, __: answer("p", good(13, printed="1")))
    done = run("aide", model, feedback="none", budget=Budget(steps=5))
    assert [n["metric"] for n in done.nodes] == [1.0, 1.0]
    assert not any(n["buggy"] for n in done.nodes)


def test_a_model_cannot_turn_the_direction_round(run: Callable[..., Run]) -> None:
    values = iter(["0.9", "0.2", "0.7"])

    def write(_: str, __: Random) -> str:
        value = next(values, "0.5")
        plan = f"Lower is better for accuracy. lower_is_better: true. {value}"
        return answer(plan, f"# lower_is_better = True\n{good(3, printed=value)}")

    model = Programmer(write)
    params = {"drafts": 3}
    done = run("aide", model, params, feedback="validity", budget=Budget(steps=7))
    assert [n["metric"] for n in done.nodes[:3]] == [0.9, 0.2, 0.7]
    assert done.nodes[3]["role"] in ("improve", "debug")
    assert done.nodes[3]["parents"] == [1]
    assert "accuracy (higher is better)" in model.prompts[0]


def test_a_lower_metric_is_better_where_the_task_says_so(run: Callable[..., Run]) -> None:
    values = iter(["9", "2.5", "7"])
    code = (
        "import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')\n"
        "print('validation: {}')\n"
    )
    model = Programmer(lambda _, __: answer("higher is better", code.format(next(values, "8"))))
    params = {"drafts": 3}
    options = {"feedback": "none", "budget": Budget(steps=7)}
    done = run("aide", model, params, task="diabetes", **options)
    assert done.nodes[3]["parents"] == [2]


def test_answers_that_cannot_be_read_are_mended_and_then_left(run: Callable[..., Run]) -> None:
    model = Programmer(lambda _, __: "```json\n{}\n```\n```json\n{}\n```")
    params = {"repairs": 1, "top_k": 1}
    done = run("tree", model, params, budget=Budget(steps=6))
    assert len(model.prompts) == 2 * 3
    assert "That answer cannot be used: it has 2 blocks" in model.prompts[1]
    assert [n["role"] for n in done.nodes] == ["draft"] * 3
    assert all(n["buggy"] and n["sha256"] is None for n in done.nodes)
    assert done.final is None
    assert done.env.spend.steps == 1


def test_a_time_out_is_a_bug_that_is_told_and_fixed(run: Callable[..., Run]) -> None:
    def write(prompt: str, _: Random) -> str:
        if "This program failed." in prompt:
            assert "the time limit of 2 s was reached" in prompt
            return answer("shorter", good(5))
        return answer("too long", f"import time; time.sleep(60)\n{good(5)}")

    params = {"policy": "mcts", "top_k": 1}
    done = run("tree", Programmer(write), params, budget=Budget(steps=5), code_timeout_s=2)
    assert [(n["role"], n["buggy"]) for n in done.nodes] == [("draft", True), ("debug", False)]
    assert done.final is not None


def test_a_fix_that_changes_the_method_gets_no_credit_for_the_old_plan(
    run: Callable[..., Run],
) -> None:
    def write(prompt: str, _: Random) -> str:
        if "This program failed." in prompt:
            return answer("I use another method instead.", good(13))
        return answer("A deep network.", "import nothing_like_it\nnet = nothing_like_it.Net()\n")

    model = Programmer(write)
    params = {"policy": "mcts", "top_k": 1}
    done = run("tree", model, params, budget=Budget(steps=6))
    assert [n["role"] for n in done.nodes] == ["draft", "draft", "draft"]
    assert done.nodes[1]["rewrites"] == 1
    assert done.nodes[1]["parents"] == [0]
    assert "- A deep network. -> it failed" in model.prompts[-1]
    assert re.search(r"- I use another method instead. -> [\d.]+", model.prompts[-1])


# -- budgets and failures -------------------------------------------------------------------------


def test_a_token_budget_ends_the_search_and_the_best_is_still_handed_in(
    run: Callable[..., Run],
) -> None:
    class Dear(Programmer):
        def complete(self, *args: Any, **kwargs: Any) -> Completion:  # noqa: ANN401
            from agentbench_agents.models import Usage

            found = super().complete(*args, **kwargs)
            return Completion(text=found.text, usage=Usage(prompt_tokens=400))

    model = Dear(lambda _, rng: answer("p", good(rng.randint(1, 13))))
    done = run("tree", model, {"in_flight": 1}, budget=Budget(steps=15, tokens=1000))
    assert "1200 of 1000 tokens" in done.note("search stopped")
    assert done.final is not None
    assert len(done.nodes) == 3
    # Several that ask at once may each begin below the limit: then it is overrun by their number.
    several = run("tree", model, {"in_flight": 2}, budget=Budget(steps=15, tokens=1000))
    assert re.match(r"the run is over: 1[26]00 of 1000 tokens", several.note("search stopped"))
    assert several.final is not None


def test_a_failing_server_is_no_failure_of_the_agent(run: Callable[..., Run]) -> None:
    def write(*_: object) -> str:
        raise ModelUnavailableError("no answer after 5 attempts")

    with pytest.raises(ModelUnavailableError):
        run("tree", Programmer(write), {"in_flight": 3})


@pytest.mark.parametrize(
    ("agent", "params", "why"),
    [
        ("tree", {"policy": "beam"}, "unknown policy 'beam'"),
        ("tree", {"policy_params": {"width": 1}}, "width"),
        ("tree", {"operators": ["draft", "improve"]}, "no operator to debug"),
        ("tree", {"in_flight": 0}, "in_flight must be at least 1, not 0"),
        ("react", {"max_tokens": 0}, "max_tokens >= 1, not 3 and 0"),
        ("aide", {"policy": "mcts"}, "unexpected keyword"),
    ],
)
def test_wrong_parameters_are_one_sentence(agent: str, params: dict[str, Any], why: str) -> None:
    with pytest.raises(AgentsError, match=why):
        find_agent(agent, params)


def test_too_few_steps_for_a_search_are_said(run: Callable[..., Run]) -> None:
    with pytest.raises(AgentsError, match="at least 4 steps, not 3"):
        run("tree", Programmer(roughly), budget=Budget(steps=3))


# -- operators ------------------------------------------------------------------------------------


def test_ablation_takes_a_step_and_the_ensemble_comes_last(run: Callable[..., Run]) -> None:
    def write(prompt: str, rng: Random) -> str:
        if "ablation study of this program" in prompt:
            return answer("study", "print('leaving out columns costs 0.2')\n")
        if "What the study told:" in prompt:
            assert "leaving out columns costs 0.2" in prompt
        return answer("p", good(rng.randint(3, 13)))

    operators = ("draft", "debug", "ablate", "ensemble")
    params = {"policy_params": {"drafts": 2}, "operators": operators, "top_k": 1}
    model = Programmer(write)
    done = run("tree", model, {"policy": "greedy", **params}, budget=Budget(steps=8))
    assert [n["operator"] for n in done.nodes] == ["draft", "draft", "ablate", "ensemble"]
    assert len(done.nodes[-1]["parents"]) >= 2
    assert done.env.spend.steps == 8


# -- the hidden split -----------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["wine", "diabetes", "demand", "reports"])
def test_a_hidden_split_holds_out_a_part_of_the_training_rows(task: str, data: Path) -> None:
    prepared = prepare(load_task(task), data)
    split, other = make_split(prepared, 0), make_split(prepared, 1)
    rows = len((prepared.public / "train.csv").read_text().splitlines()) - 1
    assert len(split.train) + len(split.test) == rows
    assert len(split.test) == pytest.approx(0.3 * rows, abs=0.02 * rows + 1)
    assert split.answers["id"].to_list() == split.test["id"].to_list()
    assert not set(split.train["id"]) & set(split.test["id"])
    (target,) = prepared.task.submission.columns
    assert target in split.train.columns
    assert target not in split.test.columns
    if task == "demand":  # the future is held out, whatever the seed
        assert max(split.train["date"].to_list()) < min(split.test["date"].to_list())
    else:
        assert not split.test.equals(other.test)


def test_where_no_split_can_be_made_the_validation_metric_decides(
    run: Callable[..., Run], data: Path
) -> None:
    with pytest.raises(NoSplitError, match="row_id"):
        make_split(prepare(load_task("symptoms"), data), 0)
    code = "import shutil; shutil.copy('input/sample_submission.csv', 'submission.csv')\n"
    model = Programmer(lambda _, __: answer("p", code))
    done = run("tree", model, task="symptoms", budget=Budget(steps=5))
    assert "row_id" in done.note("no hidden split")
    assert done.note("selection") is None
    assert done.final is not None
