"""What is asked of a model, and how its answers and its programs' output are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

import pytest

from agentbench_agents.search import OPERATORS, Answer, AnswerError, Expansion, Node, Outcome, Tree
from agentbench_agents.search.answer import parse_answer
from agentbench_agents.search.metric import printed_metric
from agentbench_agents.search.operators import complexity_cue, fill, tried_beside

FACTS = {"task": "THE TASK", "metric": "rmse", "direction": "lower", "seconds": "600"}


@dataclass
class Recorder:
    """A desk that keeps what it was asked."""

    answers: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])
    ran: list[str] = field(default_factory=list[str])
    facts: Mapping[str, str] = field(default_factory=lambda: FACTS)

    def ask(self, prompt: str) -> Answer:
        self.asked.append(prompt)
        return parse_answer(self.answers.pop(0) if self.answers else "p\n```python\nx = 1\n```")

    def run(self, code: str) -> str:
        self.ran.append(code)
        return "leaving out scaling costs 0.3"


def parents() -> tuple[Node, ...]:
    tree = Tree(higher_is_better=False)
    for i in (1, 2):
        outcome = Outcome(plan=f"idea {i}", code=f"program_{i}()", output=f"out {i}", metric=i)
        tree.commit(tree.open("draft", "draft"), outcome)
    return tuple(tree.nodes)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_renders_its_prompt(name: str) -> None:
    operator, desk = OPERATORS[name], Recorder()
    start = () if operator.role == "draft" else parents()
    start = start[:1] if operator.role in ("debug", "improve") else start
    answer = operator(Expansion(id=3, parents=start, tried=("- a plan -> 0.5",)), desk)
    assert answer.code == "x = 1\n"
    assert len(desk.ran) == operator.runs == (1 if name == "ablate" else 0)
    last = desk.asked[-1]
    assert last.startswith("THE TASK")
    assert "rmse (lower is better)" in last
    assert "validation: 0.1234" in last
    assert "```python" in last
    for prompt in desk.asked:
        assert not any(f"{{{word}}}" in prompt for word in ("task", "rules", "metric", "programs"))
        for node in start:
            assert f"```python\n{node.outcome.code}\n```" in prompt
            assert f"idea {node.id}" in prompt
            assert f"out {node.id}" in prompt
    assert ("- a plan -> 0.5" in last) == (operator.role in ("draft", "improve", "crossover"))


def test_there_is_a_text_for_each_operator_and_no_other() -> None:
    names = {p.name for p in files("agentbench_agents.search").joinpath("prompts").iterdir()}
    own = {f"{name}.txt" for name in OPERATORS}
    assert names == own | {"refine.txt", "rules.txt", "system.txt"}


def test_a_fix_sees_the_fixes_before_it_and_no_other_branch() -> None:
    tree = Tree(higher_is_better=True)
    code = "line_1()\nline_2()\n"
    tree.commit(tree.open("draft", "draft"), Outcome(plan="other branch", code=code, metric=1.0))
    node = tree.open("draft", "draft")
    tree.commit(node, Outcome(plan="the idea", code=code, output="NameError: a"))
    for fix in ("first fix", "second fix"):
        node = tree.open("debug", "debug", (node,))
        tree.commit(node, Outcome(plan=fix, code=code, output=f"Traceback\n{fix} went wrong\n"))
    desk = Recorder()
    OPERATORS["debug"](Expansion(id=9, parents=(node,)), desk)
    assert "- first fix -> first fix went wrong" in desk.asked[0]
    assert "Keep its method" in desk.asked[0]
    assert "other branch" not in desk.asked[0]
    assert tried_beside(tree.root) == ("- other branch -> 1", "- the idea -> it failed")


def test_what_was_tried_counts_a_fixed_child_as_its_fix_and_leaves_out_what_is_pending() -> None:
    tree = Tree(higher_is_better=True)
    node = tree.open("draft", "draft")
    tree.commit(node, Outcome(plan="the\n idea", code="a()", output="error"))
    tree.commit(tree.open("debug", "debug", (node,)), Outcome(plan="fix", code="a()", metric=0.25))
    tree.open("draft", "draft")
    assert tried_beside(tree.root) == ("- the idea -> 0.25",)


def test_a_refinement_goes_on_without_a_study_that_cannot_be_read() -> None:
    desk = Recorder(answers=["no code at all"])
    OPERATORS["ablate"](Expansion(id=1, parents=parents()[:1]), desk)
    assert desk.ran == []
    assert "(none could be made)" in desk.asked[1]


@pytest.mark.parametrize(
    ("tried", "word"), [(0, "simple"), (1, "simple"), (2, "moder"), (4, "Be amb")]
)
def test_how_much_to_attempt_grows(tried: int, word: str) -> None:
    assert word in complexity_cue(tried)


def test_what_a_model_wrote_is_never_a_placeholder() -> None:
    assert fill("{plan} {other}", {"plan": "{secret}", "secret": "x"}) == "{secret} {other}"


# -- answers --------------------------------------------------------------------------------------

READ = {
    "plan and block": ("The plan.\n```python\na = 1\n```", Answer("The plan.", "a = 1\n")),
    "no label": ("```\na = 1\n```\n", Answer("", "a = 1\n")),
    "shell beside": (
        "```sh\npip\n```\nPlan\n```py\na\n```",
        Answer("```sh\npip\n```\nPlan", "a\n"),
    ),
    "words after": ("P\n```python\na\n```\nDone.", Answer("P", "a\n")),
    "backticks inside": ("P\n```python\na = '```'\n```", Answer("P", "a = '```'\n")),
    "CRLF": ("P\r\n```python\r\na\r\n```\r\n", Answer("P", "a\n")),
}


@pytest.mark.parametrize(("text", "answer"), READ.values(), ids=READ)
def test_an_answer_is_read(text: str, answer: Answer) -> None:
    assert parse_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no block"),
        ("I would use a forest.", "no block"),
        ("```python\na = 1", "not closed"),
        ("```python\n\n```", "empty"),
        ("```python\na\n```\n```python\nb\n```", "2 blocks"),
        ('{"code": "a"}', "no block"),
    ],
)
def test_an_answer_that_cannot_be_read_says_why(text: str, why: str) -> None:
    with pytest.raises(AnswerError, match=why):
        parse_answer(text)


# -- the metric -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("validation: 0.5", 0.5),
        ("a\nvalidation: 1\nb", 1.0),
        ("validation: 0.5\nvalidation: 0.25\n", 0.25),
        ("validation: -1e-3", -0.001),
        ("validation: .5\r", 0.5),
        ("validation: nan", None),
        ("validation: 1e999", None),
        ("validation: 0.5 (higher is better)", None),
        ("my validation: 0.5", None),
        ("Validation: 0.5", None),
        ("accuracy 0.5", None),
        ("", None),
    ],
)
def test_the_printed_metric_has_one_form(text: str, value: float | None) -> None:
    assert printed_metric(text) == value
