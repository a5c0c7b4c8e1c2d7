"""Task files: YAML in, a checked task out, and errors that name the file and the field."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from yaml.constructor import ConstructorError

from agentbench_tasks.errors import TaskFileError
from agentbench_tasks.task import SubmissionTask, Task

_ADAPTER: TypeAdapter[Task] = TypeAdapter(Task)


def parse_task(record: object, *, file: str | Path = "task") -> Task:
    """Check a mapping, as read from a task file, and return the task.

    Args:
        record: What the YAML file holds.
        file: Name of the file, for the error message.

    Raises:
        TaskFileError: A field is unknown, missing or has a wrong value.
    """
    try:
        return _ADAPTER.validate_python(record)
    except ValidationError as error:
        raise TaskFileError(f"{file}: {'; '.join(_explain(error, record))}") from None


def _explain(error: ValidationError, record: object) -> list[str]:
    """One sentence per problem: the field's path in the file, then what is wrong with it."""
    sentences: list[str] = []
    for problem in error.errors(include_url=False):
        path: list[str] = []
        here: Any = record
        for index, step in enumerate(problem["loc"]):
            if (isinstance(here, dict) and step in here) or isinstance(step, int):
                here = here[step]  # pyright: ignore[reportUnknownVariableType]
            elif index < len(problem["loc"]) - 1:
                continue  # the tag of a union: not a field of the file
            path.append(str(step))
        field = ".".join(path)
        message = problem["msg"].removeprefix("Value error, ")
        value = problem["input"]
        shown = f" (got {value!r})" if isinstance(value, str | int | float) else ""
        sentences.append(f"{'field ' + field + ': ' if field else ''}{message}{shown}")
    return sentences


class _Loader(yaml.CSafeLoader):
    """YAML without arbitrary objects and without silently repeated keys.

    Mappings, lists and text are built here: PyYAML's own constructors take twice as long, and a
    catalogue has two hundred files.
    """

    def get_single_data(self) -> object:
        """Return the document as plain data."""
        node = self.get_single_node()
        return None if node is None else self._plain(node, {})

    def _plain(self, node: yaml.Node, known: dict[yaml.Node, object]) -> object:
        """Return the value of a node; what an anchor names is built once."""
        if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT:
            return cast("str", node.value)
        if node.tag not in _COLLECTIONS or not isinstance(node, yaml.CollectionNode):
            construct = cast("Callable[..., object]", self.construct_object)  # pyright: ignore[reportUnknownMemberType] # untyped stub
            return construct(node, deep=True)
        if node in known:
            if known[node] is None:
                raise ConstructorError(None, None, "a value contains itself", node.start_mark)
            return known[node]
        known[node] = None
        known[node] = made = (
            self._mapping(node, known)
            if isinstance(node, yaml.MappingNode)
            else [self._plain(item, known) for item in cast("list[yaml.Node]", node.value)]
        )
        return made

    def _mapping(
        self, node: yaml.MappingNode, known: dict[yaml.Node, object]
    ) -> dict[object, object]:
        mapping: dict[object, object] = {}
        for key_node, value_node in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConstructorError(None, None, "a field has no name", key_node.start_mark)
            key = self._plain(key_node, known)
            if key in mapping:
                raise ConstructorError(
                    None, None, f"field {key} is given twice", key_node.start_mark
                )
            mapping[key] = self._plain(value_node, known)
        return mapping


_TEXT = "tag:yaml.org,2002:str"
_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


def read_record(path: Path) -> dict[str, Any]:
    """Read a task file as plain data.

    Raises:
        TaskFileError: The file cannot be read, is not YAML, or does not hold a mapping.
    """
    try:
        record: object = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise TaskFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2024-13-01 is a ValueError
        raise TaskFileError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(record, dict):
        raise TaskFileError(f"{path}: expected a mapping of fields, found {type(record).__name__}")
    return cast("dict[str, Any]", record)


def task_schema() -> dict[str, Any]:
    """The JSON Schema of task files of both kinds, told apart by `kind`."""
    from agentbench_tasks.research import ResearchTask

    both = Annotated[SubmissionTask | ResearchTask, Field(discriminator="kind")]
    return TypeAdapter[SubmissionTask | ResearchTask](both).json_schema()
