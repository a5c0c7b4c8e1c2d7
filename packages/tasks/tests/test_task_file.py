from pathlib import Path

import pytest
import yaml

from agentbench_tasks import TaskFileError, UnknownTaskError, load_task
from agentbench_tasks.catalogue import task_file


def write(tmp_path: Path, **changes: object) -> Path:
    record = yaml.safe_load(task_file("digits").read_text("utf-8"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        here = record
        for parent in parents:
            here = here[parent]
        if value is None:
            del here[last]
        else:
            here[last] = value
    target = tmp_path / "digits.yaml"
    target.write_text(yaml.safe_dump(record), "utf-8")
    return target


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrik": 1}, ["unknown field metrik", "allowed:", "metric"]),
        ({"recipe__splitt": {}}, ["field recipe:", "splitt", "allowed:", "split"]),
        ({"modality": "smell"}, ["field modality", "'tabular'", "got 'smell'"]),
        ({"recipe__split__method": "dice"}, ["field recipe.split.method", "'per_class'"]),
        ({"recipe__split__n": 5}, ["exactly one of test and n"]),
        ({"recipe__source__provider": "ftp"}, ["recipe.source", "'kaggle'"]),
        ({"recipe__transforms": [{"op": "magic"}]}, ["recipe.transforms", "'one_hot'", "magic"]),
        ({"higher_is_better": False}, ["metric 'accuracy'", "higher_is_better"]),
        ({"title": None}, ["field title", "required"]),
        ({"name": "Digits!"}, ["field name: expected 'digits'"]),
    ],
    ids=[
        "unknown field",
        "unknown nested field",
        "wrong modality",
        "wrong split",
        "two sizes",
        "wrong provider",
        "wrong transform",
        "wrong direction",
        "missing",
        "wrong name",
    ],
)
def test_a_wrong_field_names_the_file_the_field_and_what_is_allowed(
    tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(TaskFileError) as caught:
        load_task(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not valid YAML"),
        ("name: a\nname: b\n", "field name is given twice"),
        ("name: &me [*me]\n", "a value contains itself"),
        ("[name]: a\n", "a field has no name"),
        ("name: !!str [a]\n", "expected a scalar"),
        ("date: 2024-13-01\n", "month must be in 1..12"),
        ("- 1\n", "expected a mapping"),
        ("name: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
    ids=["broken", "twice", "recursive", "nameless", "tagged", "date", "list", "object"],
)
def test_a_file_that_is_no_task_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "digits.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(TaskFileError, match=words):
        load_task(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match=r"nothing\.yaml: cannot be read"):
        load_task(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digitz", "did you mean digits"),
        ("digits.theirs", "digits has no variant 'theirs'"),
        ("xyzzyplugh", "agentbench-tasks list"),
    ],
)
def test_an_unknown_name_gets_near_matches(name: str, words: str) -> None:
    with pytest.raises(UnknownTaskError, match=words):
        load_task(name)


def test_a_variant_overrides_and_takes_its_own_name() -> None:
    task, theirs = load_task("rossmann-store-sales"), load_task("rossmann-store-sales.mle-dojo")
    assert (task.recipe.split.method, theirs.recipe.split.method) == ("time", "random")
    assert theirs.name == "rossmann-store-sales.mle-dojo"
    assert theirs.version < task.version
    assert theirs.digest != task.digest
