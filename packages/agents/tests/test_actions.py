import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.actions import (
    SUBMISSION_ACTIONS,
    ActionError,
    ExecuteCode,
    RequestInfo,
    build_action,
    parse_action,
    tool_manifest,
)

WRONG = {
    "not json": ("run it", "not a JSON object"),
    "a list": ("[1]", "not an action"),
    "other keys": ('{"name": "submit"}', "not an action"),
    "unknown": ('{"action": "fly"}', "unknown action 'fly'"),
    "no name": ('{"params": {}}', "unknown action None"),
    "missing": ('{"action": "execute_code"}', "code: Field required"),
    "empty code": ('{"action": "execute_code", "params": {"code": ""}}', "at least 1"),
    "wrong value": (
        '{"action": "request_info", "params": {"info_type": "answers"}}',
        "'overview'",
    ),
    "extra": ('{"action": "reset", "params": {"hard": true}}', "Extra inputs"),
    "params text": ('{"action": "submit", "params": "first"}', "not JSON"),
    "params list": ('{"action": "submit", "params": [1]}', "no JSON object"),
    "deep": ("[" * 200_000, "not a JSON object"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_action_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ActionError) as caught:
        parse_action(text, SUBMISSION_ACTIONS)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


@given(st.text())
def test_any_text_is_an_action_or_an_action_error(text: str) -> None:
    with contextlib.suppress(ActionError):
        parse_action(text, SUBMISSION_ACTIONS)


@pytest.mark.parametrize("code", ["print(1)", "s = 'é\\n\u2028'", "x" * 100_000])
def test_an_action_survives_the_wire(code: str) -> None:
    action = ExecuteCode(code=code)
    assert parse_action(action.to_text(), SUBMISSION_ACTIONS) == action


def test_a_tool_call_is_the_same_pair() -> None:
    made = build_action("request_info", '{"info_type": "all"}', SUBMISSION_ACTIONS)
    assert made == RequestInfo(info_type="all")


def test_the_manifest_has_mle_dojo_s_five_actions_and_submit() -> None:
    tools = {t["function"]["name"]: t["function"] for t in tool_manifest()}
    assert list(tools) == [
        "request_info",
        "validate_code",
        "execute_code",
        "get_history",
        "reset",
        "submit",
    ]
    json.dumps(tools)
    assert tools["execute_code"]["parameters"]["required"] == ["code"]
    assert all(t["description"] for t in tools.values())
