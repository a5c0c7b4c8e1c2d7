# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (transformers annotates its tokenizers in part)
from pathlib import Path
from typing import Any

import pytest
import torch

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.data import Sample, make_samples
from agentbench_irl.errors import DataError
from agentbench_irl.testing import CHAT_TEMPLATE, byte_tokenizer
from agentbench_irl.transitions import IGNORE, TERMINAL, UNKNOWN

TURNS: list[dict[str, str]] = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "call"},
    {"role": "tool", "content": "r"},
    {"role": "assistant", "content": "ok"},
]
WHOLE = "<user>q</s>\n<assistant>call</s>\n<tool>r</s>\n<assistant>ok</s>\n"
MARKED = CHAT_TEMPLATE.replace(
    "<{{ message['role'] }}>{{ message['content'] }}</s>\n",
    "<{{ message['role'] }}>{% if message['role'] == 'assistant' %}{% generation %}"
    "{{ message['content'] }}</s>{% endgeneration %}{% else %}{{ message['content'] }}</s>"
    "{% endif %}{{ '\\n' }}",
)


def sample(
    example: dict[str, Any], *, template: str = CHAT_TEMPLATE, max_length: int | None = None
) -> Sample:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    config = IQLearnConfig(output_dir="unused", max_length=max_length, use_cpu=True)
    (made,) = make_samples([example], tokenizer, config)
    return made


def written(made: Sample) -> list[str]:
    """Return each run of scored tokens as text."""
    tokenizer, runs = byte_tokenizer(), [list[int]()]
    for target in made.rows.targets.tolist():
        if target != IGNORE:
            runs[-1].append(target)
        elif runs[-1]:
            runs.append([])
    return [str(tokenizer.decode(run)) for run in runs if run]


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, MARKED], ids=["appended", "marked"])
def test_only_the_assistant_s_words_and_their_ends_are_scored(template: str) -> None:
    made = sample({"messages": TURNS}, template=template)
    assert byte_tokenizer().decode(made.tokens) == WHOLE
    assert written(made) == ["call</s>", "ok</s>"]
    scored = (made.rows.targets != IGNORE).nonzero()[:, 0]
    assert made.rows.successor[scored].tolist() == [*scored[1:].tolist(), TERMINAL]


def test_in_prompt_and_completion_only_the_completion_is_scored() -> None:
    made = sample({"prompt": TURNS[:2], "completion": TURNS[2:]})
    assert byte_tokenizer().decode(made.tokens) == WHOLE
    assert written(made) == ["ok</s>"]
    plain = sample({"prompt": "2+2=", "completion": "4"})
    assert written(plain) == ["4</s>"]


def test_a_stopped_conversation_is_bootstrapped() -> None:
    """Cut in the assistant's words, or where it was about to answer: the last row is the state."""
    cut = sample({"messages": TURNS, "truncated": True})
    asked = sample({"messages": TURNS[:3], "truncated": True})
    for made, text in ((cut, WHOLE[: -len("</s>\n")]), (asked, WHOLE[: WHOLE.index("ok")])):
        assert byte_tokenizer().decode(made.tokens) == text
        last = int((made.rows.targets != IGNORE).nonzero()[-1])
        assert int(made.rows.successor[last]) == len(made.tokens) - 1


def test_a_text_cut_anywhere_goes_on_only_where_the_assistant_would_write_next() -> None:
    """A value is bootstrapped if the token behind the cut is the assistant's; else it is unknown.

    Behind `call</s>` comes the tool's turn: the state there is none in which the model acts.
    """
    whole = sample({"messages": TURNS})
    scored = whole.rows.targets != IGNORE
    first = int(scored.nonzero()[0])
    seen = set[tuple[bool, bool]]()
    for length in range(first + 2, len(whole.tokens)):
        made = sample({"messages": TURNS}, max_length=length)
        assert torch.equal(made.rows.targets[:-1], whole.rows.targets[: length - 1])
        assert int(made.rows.targets[-1]) == IGNORE
        last = int(scored[: length - 1].nonzero()[-1])
        acts_next = bool(scored[length - 1])
        assert int(made.rows.successor[last]) == (length - 1 if acts_next else UNKNOWN), length
        seen.add((bool(scored[length - 2]), acts_next))
    assert seen == {(True, True), (True, False), (False, False), (False, True)}


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    with pytest.raises(DataError, match=r"rewrites what comes before message 1.*generation"):
        sample({"messages": TURNS}, template="{{ messages | length }}" + CHAT_TEMPLATE)


def test_chat_template_that_raises_is_an_error_of_the_data() -> None:
    template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(DataError, match="refuses the messages: roles must alternate"):
        sample({"messages": TURNS}, template=template)


def test_template_from_a_file(tmp_path: Path) -> None:
    from agentbench_irl.pretrained import tokenizer_of

    path = tmp_path / "template.jinja"
    path.write_text(MARKED, encoding="utf-8")
    config = IQLearnConfig(output_dir="unused", chat_template_path=str(path), use_cpu=True)
    tokenizer = tokenizer_of("unused", config, byte_tokenizer())
    (made,) = make_samples([{"messages": TURNS}], tokenizer, config)
    assert written(made) == ["call</s>", "ok</s>"]
