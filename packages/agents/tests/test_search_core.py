"""Nodes, policies, selection, and the loop that expands a tree: no model, no sandbox."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbench_agents import search
from agentbench_agents.search import (
    MCTS,
    Choice,
    Evolutionary,
    Greedy,
    Node,
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
from agentbench_agents.search.operators import tried_beside
from agentbench_agents.search.rewrite import kept

CODE = "import numpy\nx = load()\nmodel = fit(x)\nwrite(model)\n"
POLICIES = {"greedy": Greedy(), "mcts": MCTS(), "evolutionary": Evolutionary()}


def add(
    tree: Tree, role: Role, metric: float | None, *parents: Node, code: str | None = None
) -> Node:
    node = tree.open(role, role, parents)
    text = code or (parents[0].outcome.code if role == "debug" else f"{CODE}# {node.id}")
    tree.commit(node, Outcome(plan=f"plan {node.id}", code=text, metric=metric))
    return node


def grown(*metrics: float | None, higher_is_better: bool = True) -> Tree:
    tree = Tree(higher_is_better=higher_is_better)
    for metric in metrics:
        add(tree, "draft", metric)
    return tree


def test_the_core_is_at_most_300_lines() -> None:
    folder = Path(search.__file__).parent
    names = ("node.py", "policies.py", "selection.py")
    assert sum(len((folder / n).read_text("utf-8").splitlines()) for n in names) <= 300


@pytest.mark.parametrize(
    ("metric", "working"),
    [(1, True), (0, True), (-3.5, True), (None, False), (math.nan, False), (math.inf, False)],
)
def test_a_finite_number_is_a_metric(metric: float | None, working: bool) -> None:
    node = grown(metric).nodes[0]
    assert (node.working, node.buggy) == (working, not working)


def test_the_direction_is_the_tree_s() -> None:
    assert grown(1, 3, 2).best is not None
    assert [n.id for n in top(grown(1, 3, 2), 3)] == [2, 3, 1]
    assert [n.id for n in top(grown(1, 3, 2, higher_is_better=False), 3)] == [1, 3, 2]


def test_of_equals_the_oldest_is_best_and_equal_programs_are_one_candidate() -> None:
    tree = Tree(higher_is_better=True)
    for metric in (0.5, 0.7, 0.7):
        add(tree, "draft", metric, code="same")
    add(tree, "draft", 0.7, code="other")
    assert tree.best is tree.nodes[1]
    assert [n.id for n in top(tree, 5)] == [2, 4]


def test_a_second_measurement_reorders_in_the_task_s_direction() -> None:
    ranked = top(grown(3.0, 2.0, 1.0, 0.5, higher_is_better=False), 4)
    assert [n.id for n in ranked] == [4, 3, 2, 1]
    assert [n.id for n in reorder(ranked, {4: 9.0, 3: 7.0, 2: 8.0})] == [3, 2, 4, 1]
    assert reorder(ranked, {}) == ranked


# -- greedy ---------------------------------------------------------------------------------------


def test_greedy_drafts_then_improves_the_best() -> None:
    policy, tree = Greedy(drafts=3), Tree(higher_is_better=True)
    for metric in (0.2, 0.6, 0.4):
        assert policy.choose(tree, Random(0)) == Choice("draft")
        add(tree, "draft", metric)
    assert policy.choose(tree, Random(0)) == Choice("improve", (tree.nodes[1],))


@pytest.mark.parametrize(("prob", "role"), [(0.0, "improve"), (1.0, "debug")])
def test_greedy_fixes_a_leaf_with_its_probability(prob: float, role: str) -> None:
    tree = grown(0.2, None)
    policy = Greedy(drafts=2, debug_prob=prob)
    assert {policy.choose(tree, Random(s)).role for s in range(20)} == {role}


def test_greedy_without_a_working_node_drafts_on() -> None:
    assert Greedy(drafts=1, debug_prob=0.0).choose(grown(None), Random(0)) == Choice("draft")


def test_a_chain_of_fixes_ends_as_in_aide() -> None:
    tree = grown(None)
    policy = Greedy(drafts=1, debug_prob=1.0, debug_depth=3)
    fixes = 0
    while (choice := policy.choose(tree, Random(0))).role == "debug":
        add(tree, "debug", None, *choice.parents)
        fixes += 1
    assert fixes == 4  # debug_depth <= 3 is asked before each, so that there are 4, as in AIDE
    assert [n.id for n in tree.nodes[-1].debug_chain] == [1, 2, 3, 4, 5]


def test_what_could_not_be_read_is_not_debugged() -> None:
    tree = Tree(higher_is_better=True)
    tree.commit(tree.open("draft", "draft"), Outcome(output="no program"))
    assert tree.nodes[0].buggy
    assert tree.debuggable(3) == []


# -- Monte-Carlo tree search ----------------------------------------------------------------------


def test_uct_by_hand() -> None:
    # Two drafts with fitness 0 and 1, the second with a child of fitness 0.5:
    #   q(1) = 0, n = 1; q(2) = (1 + 0.5) / 2 = 0.75, n = 2; N = 3.
    #   uct(1) = c * sqrt(ln 3 / 1), uct(2) = 0.75 + c * sqrt(ln 3 / 2);
    #   equal at c = 0.75 / (sqrt(ln 3) * (1 - 1 / sqrt 2)) = 2.443.
    for c, chosen in ((2.44, 2), (2.45, 1)):
        tree = grown(0.0, 1.0)
        child = add(tree, "improve", 0.5, tree.nodes[1])
        choice = MCTS(c=c, children=1).choose(tree, Random(0))
        assert choice == Choice("improve", (child if chosen == 2 else tree.nodes[0],))


def test_a_leaf_gets_its_children_in_a_row_and_a_buggy_one_is_fixed_first() -> None:
    tree, policy = grown(0.1, 0.9), MCTS(children=2)
    first = add(tree, "improve", None, tree.nodes[1])
    choice = policy.choose(tree, Random(0))
    assert choice == Choice("debug", (first,))
    fixed = add(tree, "debug", 0.95, first)
    assert policy.choose(tree, Random(0)) == Choice("improve", (tree.nodes[1],))
    add(tree, "improve", 0.2, tree.nodes[1])
    assert first.resolved is fixed
    assert policy.choose(tree, Random(0)) == Choice("improve", (fixed,))


def test_a_subtree_that_was_never_fixed_is_dead() -> None:
    tree = grown(None, 0.5)
    policy = MCTS(children=2, debug_depth=0)
    add(tree, "debug", None, tree.nodes[0])
    assert policy.choose(tree, Random(0)) == Choice("improve", (tree.nodes[1],))


def test_a_pending_node_is_a_virtual_loss() -> None:
    # Without: q(3) = 1 > q(2) = 0.95. With two pending below 3: q(3) = (1 + 0 + 0) / 3.
    tree, policy = grown(0.0, 0.95, 1.0), MCTS(children=2)
    assert policy.choose(tree, Random(0)).parents == (tree.nodes[2],)
    for _ in range(2):
        tree.open("improve", "improve", (tree.nodes[2],))
    assert policy.choose(tree, Random(0)).parents == (tree.nodes[1],)


# -- evolution ------------------------------------------------------------------------------------


def test_the_first_generation_is_drafted_and_crossover_comes_with_the_third() -> None:
    policy = Evolutionary(per_generation=2, crossover_prob=1.0)
    tree, roles = Tree(higher_is_better=True), list[str]()
    for i in range(7):
        choice = policy.choose(tree, Random(i))
        roles.append(choice.role)
        add(tree, choice.role, 0.5 + i / 10, *choice.parents)
        assert len({p.id for p in choice.parents}) == len(choice.parents)
    assert roles == ["draft"] * 2 + ["improve"] * 2 + ["crossover"] * 3


def test_who_is_below_the_mean_does_not_join() -> None:
    tree = grown(0.0, 1.0)
    low = add(tree, "improve", 0.4, tree.nodes[0])
    high = add(tree, "improve", 0.6, tree.nodes[0])
    bug = add(tree, "improve", None, tree.nodes[0])
    fixed = add(tree, "debug", 2.0, bug)
    assert Evolutionary().population(tree) == [*tree.nodes[:2], high, fixed]
    assert low not in Evolutionary().population(tree)


def test_parents_are_drawn_by_softmax_of_normalised_fitness() -> None:
    tree = grown(10.0, 20.0, higher_is_better=False)
    policy = Evolutionary(per_generation=2)
    drawn = Counter(policy.choose(tree, Random(s)).parents[0].id for s in range(4000))
    assert drawn[1] / 4000 == pytest.approx(math.e / (1 + math.e), abs=0.03)


# -- a fix that is another program ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "share"),
    [
        (CODE, 1.0),
        ("# why\n\n  import numpy\nx = load()\nmodel = fit(x)\nwrite(model)", 1.0),
        (CODE.replace("fit(x)", "fit(x, 1)"), 0.75),
        ("import torch\nprint(1)\n", 0.0),
    ],
    ids=["same", "comment and indentation", "one line", "other"],
)
def test_how_much_a_fix_keeps(after: str, share: float) -> None:
    assert kept(CODE, after) == share


def test_a_fix_that_changes_the_method_is_a_draft_of_its_own() -> None:
    tree = grown(None, 0.5)
    broken = tree.nodes[0]
    other = add(tree, "debug", 0.9, broken, code="import torch\ntrain_a_network()\n")
    assert (other.role, other.rewrites, other.parents) == ("draft", broken, (tree.root,))
    assert broken.children == []
    assert (broken.visits, tree.root.visits, tree.root.value) == (0, 2, 1.4)
    assert tree.debuggable(3) == []  # given up: the next fix would go the same way
    assert tried_beside(tree.root)[0].endswith("it failed")


# -- the loop -------------------------------------------------------------------------------------


def expand(
    policy: Policy,
    *,
    in_flight: int,
    workers: int,
    budget: int = 40,
    delay: Callable[[Random], float] = lambda _: 0.0,
) -> tuple[Tree, list[set[int]]]:
    """Search with made-up outcomes; also say which nodes were known at each choice."""
    tree, known = Tree(higher_is_better=True), list[set[int]]()

    def begin() -> tuple[Node, Callable[[], Outcome]] | None:
        index = len(tree.nodes) + 1
        if index > budget:
            return None
        known.append({n.id for n in tree.nodes if not n.pending})
        rng = Random(f"seed {index}")
        choice = policy.choose(tree, rng)
        node = tree.open(choice.role, choice.role, choice.parents)

        def work() -> Outcome:
            time.sleep(delay(Random()))
            metric = None if rng.random() < 0.3 else rng.random()
            return Outcome(code=CODE, metric=metric)

        return node, work

    run_search(tree, begin, in_flight=in_flight, workers=workers)
    return tree, known


def shape(tree: Tree) -> Sequence[object]:
    return [
        (n.id, n.role, [p.id for p in n.parents], n.outcome, n.visits, n.value, n.in_flight)
        for n in (tree.root, *tree.nodes)
    ]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@given(in_flight=st.integers(1, 8), workers=st.integers(2, 6))
@settings(max_examples=15, deadline=None)
def test_threads_change_nothing(policy: Policy, in_flight: int, workers: int) -> None:
    one, _ = expand(policy, in_flight=in_flight, workers=1)
    many, _ = expand(
        policy, in_flight=in_flight, workers=workers, delay=lambda rng: rng.random() / 500
    )
    assert shape(one) == shape(many)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("in_flight", [1, 4])
def test_each_choice_knows_all_but_the_last_in_flight(policy: Policy, in_flight: int) -> None:
    tree, known = expand(policy, in_flight=in_flight, workers=in_flight)
    assert known == [set(range(1, max(0, i - in_flight + 1) + 1)) for i in range(40)]
    assert all(n.in_flight == 0 for n in (tree.root, *tree.nodes))


def test_work_is_done_at_once_and_a_commit_begins_the_next() -> None:
    tree, all_four, fifth = Tree(higher_is_better=True), threading.Barrier(4), threading.Event()

    def begin() -> tuple[Node, Callable[[], Outcome]] | None:
        if len(tree.nodes) == 8:
            return None
        node = tree.open("draft", "draft")

        def work() -> Outcome:
            if node.id <= 4:
                all_four.wait(timeout=60)  # breaks unless four are at work at once
            if node.id == 5:
                fifth.set()
            if node.id == 4:
                assert fifth.wait(timeout=60)  # the fourth ends only when the fifth has begun
            return Outcome(metric=1.0)

        return node, work

    run_search(tree, begin, in_flight=4, workers=4)
    assert len(tree.working) == 8


def test_a_failure_ends_the_search_with_what_was_committed() -> None:
    tree = Tree(higher_is_better=True)

    def begin() -> tuple[Node, Callable[[], Outcome]]:
        node = tree.open("draft", "draft")

        def work() -> Outcome:
            if node.id == 4:
                raise OSError("the server is gone")
            return Outcome(metric=1.0)

        return node, work

    with pytest.raises(OSError, match="gone"):
        run_search(tree, begin, in_flight=3, workers=2)
    assert [n.id for n in tree.working] == [1, 2, 3]


# -- names ----------------------------------------------------------------------------------------


def test_policies_and_operators_are_found_by_name_or_place() -> None:
    assert find_policy("mcts", {"c": 1.0}) == MCTS(c=1.0)
    assert find_policy("agentbench_agents.search:Greedy") == Greedy()
    assert find_operator("ablate").runs == 1
    assert find_operator("agentbench_agents.search.operators:AblateAndRefine")


@pytest.mark.parametrize(
    ("find", "name", "why"),
    [
        (find_policy, "beam", "known are greedy, mcts, evolutionary"),
        (find_policy, "nowhere:Policy", "No module named 'nowhere'"),
        (find_operator, "mutate", "known are draft, debug"),
    ],
)
def test_an_unknown_name_is_one_sentence(
    find: Callable[[str], object], name: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        find(name)


def test_an_unknown_parameter_of_a_policy_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"policy 'mcts': .*width"):
        find_policy("mcts", {"width": 3})
