"""Search over programs: a policy chooses what to try, operators write it, forks run it.

One step tells about the task; then programs are written and run, each in a fork of the environment
(`search/`); the best `top_k` are run again on a split of the training data that the search has not
seen; the best of these is run in the environment itself and submitted. Whether higher is better is
the task's, the metric is what the environment shows or else what the program prints: no model is
asked whether a program worked or how well.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from agentbench_agents.actions import ExecuteCode, Submit
from agentbench_agents.errors import AgentParameterError, BudgetExceededError
from agentbench_agents.models import Sampling
from agentbench_agents.search import (
    AnswerError,
    Choice,
    Expansion,
    Node,
    Operator,
    Outcome,
    Policy,
    Role,
    Tree,
    find_operator,
    find_policy,
    reorder,
    run_search,
    top,
)
from agentbench_agents.search.hidden_split import NoSplitError, make_split
from agentbench_agents.search.operators import tried_beside
from agentbench_agents.search.workbench import Workbench, task_facts

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model

_ENSEMBLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeAgent:
    """Searches a tree of programs.

    Attributes:
        policy: `greedy`, `mcts`, `evolutionary`, `module:attribute`, or a `Policy`.
        policy_params: Parameters of the policy, such as `{"drafts": 3}` or `{"c": 0.5}`.
        operators: Names in `search.OPERATORS`, `module:attribute`, or `Operator`s. There must be
            one each to draft, debug and improve; of several for a role one is drawn each time.
            With one for `ensemble`, the last expansion joins the three best programs. One whose
            answer cannot be read uses up a step of the search, though nothing is run.
        in_flight: Expansions under way at once. The choice of the next knows the outcomes of all
            but the last `in_flight - 1`, so it is part of what is found.
        workers: Threads that do the work, by default `in_flight`; what is found is the same.
        top_k: How many programs are run again on the hidden split; 1 trusts the validation metric.
        repairs: How often the model may mend an answer that cannot be read.
        temperature: Sampling temperature, or that of the server.
        max_tokens: Longest answer, in tokens.
    """

    policy: str | Policy = "mcts"
    policy_params: Mapping[str, Any] | None = None
    operators: Sequence[str | Operator] = ("draft", "debug", "improve", "crossover")
    in_flight: int = 1
    workers: int | None = None
    top_k: int = 3
    repairs: int = 2
    temperature: float | None = 0.5
    max_tokens: int = 8192

    def __post_init__(self) -> None:
        find_policy(self.policy, self.policy_params)
        roles = {find_operator(operator).role for operator in self.operators}
        if missing := {"draft", "debug", "improve"} - roles:
            raise ValueError(f"there is no operator to {' or '.join(sorted(missing))}")
        least = {"in_flight": 1, "workers": 1, "top_k": 1, "repairs": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} must be at least {low}, not {value}")

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Search, choose, run and submit.

        Raises:
            AgentParameterError: It is a research task, or there are too few steps for a search.
        """
        if env.is_research:
            raise AgentParameterError(f"this agent writes submissions; {env.task.name} is research")
        if env.spend.steps_left < 4:
            raise AgentParameterError(f"a search takes at least 4 steps, not {env.budget.steps}")
        facts = task_facts(env)
        sampling = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
        desk = Workbench(env=env, model=model, facts=facts, sampling=sampling, repairs=self.repairs)
        search = _Search(agent=self, env=env, desk=desk)
        try:
            run_search(
                search.tree,
                search.begin,
                in_flight=self.in_flight,
                workers=self.workers or self.in_flight,
                committed=search.committed,
            )
        except BudgetExceededError as reached:
            env.trajectory.append("note", {"search stopped": str(reached)})
        hand_in(env, search.ranked())


@dataclass(slots=True, kw_only=True)
class _Search:
    """The state of one run. Steps: `search_steps` to search, `again` to choose, two to hand in."""

    agent: TreeAgent
    env: "TaskEnv"
    desk: Workbench
    tree: Tree = field(init=False)
    policy: Policy = field(init=False)
    operators: dict[Role, list[Operator]] = field(init=False)
    seed: int = field(init=False)
    again: int = field(init=False)
    search_steps: int = field(init=False)
    slowest_s: float = 0.0
    ensembled: bool = False

    def __post_init__(self) -> None:
        self.tree = Tree(higher_is_better=self.env.task.higher_is_better)
        self.policy = find_policy(self.agent.policy, self.agent.policy_params)
        self.operators = {}
        for operator in map(find_operator, self.agent.operators):
            self.operators.setdefault(operator.role, []).append(operator)
        self.seed = int(self.env.np_random_seed or 0)
        left = self.env.spend.steps_left - 2
        self.again = min(self.agent.top_k, left // 3) if self._can_split() else 0
        self.again = 0 if self.again < 2 else self.again
        self.search_steps = left - self.again

    def begin(self) -> tuple[Node, Callable[[], Outcome]] | None:
        """Choose the next expansion, or None when what is left is needed to choose and hand in."""
        rng = Random(f"{self.seed} {len(self.tree.nodes) + 1}")
        remaining = self.env.spend.remaining_s()
        if remaining is not None and remaining < (self.again + 2) * self.slowest_s:
            return None
        choice = self._choose(rng)
        able = [o for o in self.operators[choice.role] if 1 + o.runs <= self.search_steps]
        if not able:
            return None
        operator = rng.choice(able)
        self.search_steps -= 1 + operator.runs
        beside = choice.parents[0] if choice.parents else self.tree.root
        tried = () if choice.role == "debug" else tried_beside(beside)
        node = self.tree.open(choice.role, operator.name, choice.parents)
        expansion = Expansion(
            id=node.id, parents=choice.parents, tried=tried, seed=rng.getrandbits(31)
        )
        return node, lambda: self._expand(operator, expansion)

    def committed(self, node: Node) -> None:
        """Write a node into the trajectory."""
        self.env.trajectory.append("note", {"node": record(node)})

    def ranked(self) -> list[Node]:
        """Return the candidates to hand in, the best first."""
        ranked = top(self.tree, max(self.again, 1))
        if len(ranked) < 2:
            return ranked
        with ThreadPoolExecutor(self.agent.workers or self.agent.in_flight) as pool:
            try:
                found = list(pool.map(self._rehearse, ranked))
            except BudgetExceededError as reached:
                self.env.trajectory.append("note", {"selection stopped": str(reached)})
                return ranked
        metrics = {n.id: m for n, m in zip(ranked, found, strict=True) if m is not None}
        ordered = reorder(ranked, metrics)
        self.env.trajectory.append(
            "note", {"selection": {"held_out": metrics, "order": [n.id for n in ordered]}}
        )
        return ordered

    def _choose(self, rng: Random) -> Choice:
        if "ensemble" in self.operators and self.search_steps == 1 and not self.ensembled:
            self.ensembled = True
            best = top(self.tree, _ENSEMBLE)
            if len(best) > 1:
                return Choice("ensemble", tuple(best))
        choice = self.policy.choose(self.tree, rng)
        known = choice.role in self.operators
        return choice if known else Choice("improve", choice.parents[:1])

    def _expand(self, operator: Operator, expansion: Expansion) -> Outcome:
        desk = self.desk.seeded(expansion.seed)
        try:
            answer = operator(expansion, desk)
        except AnswerError as error:
            return Outcome(output=f"No program could be read: {error}.")
        began = self.env.spend.wall_s
        outcome = desk.evaluate(answer)
        self.slowest_s = max(self.slowest_s, self.env.spend.wall_s - began)
        return outcome

    def _rehearse(self, node: Node) -> float | None:
        return self.desk.rehearse(node.outcome.code, split=self.seed)

    def _can_split(self) -> bool:
        if self.agent.top_k < 2:
            return False
        try:
            make_split(self.env.prepared, self.seed)
        except NoSplitError as why:
            self.env.trajectory.append("note", {"no hidden split": str(why)})
            return False
        return True


def hand_in(env: "TaskEnv", ranked: Sequence[Node]) -> None:
    """Run the best program in the environment itself and submit it; the next, if it fails there."""
    for node in ranked:
        if env.over:
            return
        info = env.step(ExecuteCode(code=node.outcome.code).to_text())[4]
        if info["status"] == "ok":
            if not env.over:
                env.step(Submit(submission=info["submission"]).to_text())
            return


def record(node: Node) -> dict[str, Any]:
    """Return what the trajectory says of a node when it is committed."""
    code = node.outcome.code.encode("utf-8", "surrogatepass")
    return {
        "id": node.id,
        "role": node.role,
        "operator": node.operator,
        "parents": [parent.id for parent in node.parents],
        "rewrites": node.rewrites.id if node.rewrites else None,
        "plan": node.outcome.plan[:1000],
        "sha256": hashlib.sha256(code).hexdigest() if code else None,
        "metric": node.metric,
        "buggy": node.buggy,
    }
