"""What an agent can do. The JSON schemas of these models are the one tool manifest.

On the wire an action is the JSON text `{"action": NAME, "params": {...}}`; a tool call of a
language model is the same pair. An action is data plus one method, `apply`, so that an action of
your own is a class like these, handed to `TaskEnv(actions=...)`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentbench_agents.errors import AgentsError

if TYPE_CHECKING:
    from agentbench_agents.episode import Episode, Outcome

InfoType = Literal[
    "overview",
    "sample_submission",
    "data_structure",
    "data_path",
    "output_path",
    "name",
    "metadata",
    "all",
]


class Action(BaseModel):
    """One action. Subclasses give it a name, fields, and `apply`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]

    def apply(self, episode: "Episode") -> "Outcome":
        """Act in an episode and say what came of it."""
        raise NotImplementedError

    def to_text(self) -> str:
        """Return the JSON text that `TaskEnv.step` takes."""
        return json.dumps({"action": self.name, "params": self.model_dump(mode="json")})


class RequestInfo(Action):
    """Read about the task: its description, files, columns, metric and paths."""

    name = "request_info"
    info_type: InfoType = Field(description="which information to read; `all` is everything")

    def apply(self, episode: "Episode") -> "Outcome":
        """Answer from the public side of the task."""
        return episode.request_info(self.info_type)


class ValidateCode(Action):
    """Check Python code cheaply: syntax, imports, and a short run on a small sample of the data.

    Nothing is scored and no submission is kept.
    """

    name = "validate_code"
    code: str = Field(description="a whole Python program", min_length=1)

    def apply(self, episode: "Episode") -> "Outcome":
        """Check the code in the sandbox."""
        return episode.validate_code(self.code)


class ExecuteCode(Action):
    """Run a whole Python program. If it ends well and wrote submission.csv, that file is graded."""

    name = "execute_code"
    code: str = Field(description="a whole Python program", min_length=1)

    def apply(self, episode: "Episode") -> "Outcome":
        """Run the code in the sandbox and grade what it wrote."""
        return episode.execute_code(self.code)


class GetHistory(Action):
    """Read a summary of the steps so far."""

    name = "get_history"
    last: int = Field(default=20, ge=1, le=100, description="how many steps to show")

    def apply(self, episode: "Episode") -> "Outcome":
        """Summarise the steps; the summary itself is not part of later summaries."""
        return episode.get_history(self.last)


class Reset(Action):
    """Empty the working directory. Steps, submissions and the best score stay as they are."""

    name = "reset"

    def apply(self, episode: "Episode") -> "Outcome":
        """Start again with a clean sandbox."""
        return episode.clear_workspace()


class Submit(Action):
    """End the episode with one of the graded submissions as the final one."""

    name = "submit"
    submission: int | None = Field(
        default=None,
        ge=1,
        description="number of the submission; by default the best one that you know of",
    )

    def apply(self, episode: "Episode") -> "Outcome":
        """Choose the final submission."""
        return episode.submit(self.submission)


SUBMISSION_ACTIONS: tuple[type[Action], ...] = (
    RequestInfo,
    ValidateCode,
    ExecuteCode,
    GetHistory,
    Reset,
    Submit,
)


def check_names(actions: Sequence[type[Action]]) -> tuple[type[Action], ...]:
    """Return the actions, of which no two have one name.

    Raises:
        AgentsError: Two have; the second could never be called.
    """
    names = [action.name for action in actions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise AgentsError(f"two actions are named {twice!r}; give yours another name")
    return tuple(actions)


class ActionError(ValueError):
    """An action that cannot be read; the message says what was expected. Fed back to the agent."""


def parse_action(text: str, actions: Sequence[type[Action]]) -> Action:
    """Read the JSON text of an action.

    Raises:
        ActionError: The text is no JSON object of the right form, names no known action, or its
            parameters are wrong.
    """
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ActionError(f"not a JSON object; {_expected(actions)}") from error
    if not isinstance(envelope, dict) or set(envelope) - {"action", "params"}:  # pyright: ignore[reportUnknownArgumentType]
        raise ActionError(f"not an action; {_expected(actions)}")
    fields: dict[str, Any] = envelope  # pyright: ignore[reportUnknownVariableType]
    return build_action(fields.get("action"), fields.get("params") or {}, actions)


def build_action(name: object, params: object, actions: Sequence[type[Action]]) -> Action:
    """Make an action from its name and parameters (a mapping, or its JSON text).

    Raises:
        ActionError: As `parse_action`.
    """
    kind = next((a for a in actions if a.name == name), None)
    if kind is None:
        raise ActionError(f"unknown action {_short(name)}; expected one of {_names(actions)}")
    if isinstance(params, str):
        try:
            params = json.loads(params or "{}")
        except (ValueError, RecursionError) as error:
            raise ActionError(
                f"the parameters of {kind.name} are not JSON; {signature(kind)}"
            ) from error
    if not isinstance(params, Mapping):
        raise ActionError(f"the parameters of {kind.name} are no JSON object; {signature(kind)}")
    try:
        return kind.model_validate(params)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(p) for p in e['loc']) or 'params'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)[:5]
        )
        raise ActionError(
            f"wrong parameters for {kind.name}: {wrong}; {signature(kind)}"
        ) from error


def tool_manifest(actions: Sequence[type[Action]] = SUBMISSION_ACTIONS) -> list[dict[str, Any]]:
    """Return the actions as tools of the chat-completions interface."""
    return [
        {
            "type": "function",
            "function": {
                "name": action.name,
                "description": " ".join((action.__doc__ or action.name).split()),
                "parameters": _parameters(action),
            },
        }
        for action in actions
    ]


@lru_cache(maxsize=256)  # asked for at every reset and by every wrong action
def signature(action: type[Action]) -> str:
    """Return one line that says how to call an action, for prompts and error messages."""
    schema = _parameters(action)
    parameters = ", ".join(
        f"{name}: {_type_name(field)}" + ("" if name in schema["required"] else " (optional)")
        for name, field in schema["properties"].items()
    )
    return f"{action.name} takes {{{parameters}}}"


def _parameters(action: type[Action]) -> dict[str, Any]:
    schema = action.model_json_schema()
    return {
        "type": "object",
        "properties": {
            name: {k: v for k, v in field.items() if k != "title"}
            for name, field in schema.get("properties", {}).items()
        },
        "required": schema.get("required", []),
        "additionalProperties": False,
    }


def _type_name(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(repr(v) for v in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type_name(s) for s in schema["anyOf"])
    return str(schema.get("type", "any"))


def _expected(actions: Sequence[type[Action]]) -> str:
    return 'expected {"action": NAME, "params": {...}}, NAME one of ' + _names(actions)


def _names(actions: Sequence[type[Action]]) -> str:
    return ", ".join(a.name for a in actions)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
