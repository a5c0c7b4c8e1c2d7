"""What a research task is: a starter repository to improve, two phases, a metric, anchors."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from agentbench_tasks.errors import UnknownTaskError
from agentbench_tasks.recipe import Source
from agentbench_tasks.record import Record

Phase = Literal["dev", "test"]
RESEARCH = Path(__file__).parent / "research_tasks"


class Measured(Record):
    """A score with its standard error (over the units of one test set, or over instances)."""

    value: float
    se: float | None = Field(default=None, ge=0)


class ResearchAnchor(Record):
    """A reference score of both phases.

    Args:
        dev: On the development inputs; None where it was not measured.
        test: On the test inputs.
        runtime_s: Seconds of the test run, where `source` says it ran.
        logical_lines: Statements of the method's files.
        source: Which method, measured how, or published where.
        date: When it was taken; anchors drift.
        instances: Instances (data seeds) it is the mean of.
    """

    dev: Measured | None = None
    test: Measured
    runtime_s: float | None = Field(default=None, gt=0)
    logical_lines: int | None = Field(default=None, gt=0)
    source: str
    date: date
    instances: int = Field(default=1, gt=0)


class ResearchAnchors(Record):
    """Reference scores. A margin is the part of the way from `baseline` to `reference`.

    Args:
        baseline: The method that the starter repository holds.
        reference: A strong method that agents do not see, or the best people.
        human: Whether `reference` are people. Lite tasks have none: a margin on a lite task is
            never set beside one that was measured against people.
        ceiling: The best that is possible, where it is known.
    """

    baseline: ResearchAnchor | None = None
    reference: ResearchAnchor | None = None
    human: bool = False
    ceiling: ResearchAnchor | None = None


class ResearchMetric(Record):
    """A metric by name; what it computes is in the task's `metric.py`."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict[str, Any])


class ResearchResources(Record):
    """What one run may use; memory and disk in MiB, times in seconds of one phase."""

    cpus: float = Field(default=1, gt=0)
    memory_mib: int = Field(default=4096, gt=0)
    disk_mib: int = Field(default=1024, gt=0)
    gpus: int = Field(default=0, ge=0)
    gpu_memory_mib: int | None = Field(default=None, gt=0)
    wall_s: float = Field(default=600, gt=0)
    dev_s: float = Field(gt=0)
    test_s: float = Field(gt=0)
    output_mib: int = Field(default=128, gt=0)


class ResearchBudget(Record):
    """What an agent is given for one run by default (MLRC-Bench: 50 steps, 5 hours, 10 dollars)."""

    steps: int = Field(default=50, gt=0)
    wall_s: float = Field(default=5 * 3600, gt=0)
    cost_usd: float = Field(default=10.0, gt=0)


class ResearchProvenance(Record):
    """The competition, and where the data come from."""

    competition: str
    url: str
    data: str
    licence: str


class ResearchTask(Record):
    """A task that is answered by a better method, not by a table.

    Args:
        name: Slug; the lite variant ends in `-lite`.
        version: Rises with every change that changes scores.
        title: One line.
        problem: The research problem, as the agent reads it.
        background: What is known about it; given only where a run asks for it.
        idea: An idea to carry out, as text (see `agentbench_agents.agents.idea`).
        folder: Folder under `research_tasks` with starter, reference, metric and scorer.
        shared: Files of `research_tasks` that the starter repository holds too.
        lite: Data are generated here from a secret seed; else they are the competition's own.
        sources: Where a full task's raw files are fetched from, by the folder they go to. Empty
            where there is no address to fetch from: then they are given as a folder.
        family: Tasks of one family are not independent (clusters for statistics).
        suites: `research-lite` or `research`.
        metric: What is measured.
        higher_is_better: Stated, never inferred.
        editable: Patterns of the files that are the submission; everything else is pristine when
            a method is run.
        baseline_method: Name under which the starter repository registers the baseline.
        resources: Limits of a run of a method.
        budget: Limits of an agent.
        feedback: Dev scores are shown, test scores never.
        anchors: Reference scores.
        provenance: Where it comes from.
        known_issues: What a user should know before trusting a score.
        hide: Paths, relative to the Python import roots, that sandboxes must hide.
    """

    kind: Literal["research"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")]
    version: int = Field(gt=0)
    title: str
    problem: str
    background: str = ""
    idea: str = ""
    folder: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    shared: tuple[str, ...] = ()
    lite: bool
    sources: dict[str, Source] = Field(default_factory=dict[str, Source])
    modality: Literal["tabular", "text", "image", "audio", "timeseries", "multimodal"]
    family: str
    tags: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    metric: ResearchMetric
    higher_is_better: bool = True
    editable: tuple[str, ...] = ("methods/*.py",)
    baseline_method: str = "baseline"
    resources: ResearchResources
    budget: ResearchBudget = ResearchBudget()
    feedback: Literal["validation"] = "validation"
    anchors: ResearchAnchors = ResearchAnchors()
    provenance: ResearchProvenance
    known_issues: tuple[str, ...] = ()
    hide: tuple[str, ...] = ("agentbench_tasks",)

    @model_validator(mode="after")
    def _lite_is_not_human(self) -> Self:
        if self.lite and self.anchors.human:
            raise ValueError("anchors.human: a lite task has no human reference")
        base, ref = self.anchors.baseline, self.anchors.reference
        sign = 1 if self.higher_is_better else -1
        if base and ref and sign * (ref.test.value - base.test.value) <= 0:
            raise ValueError("anchors.reference: must be better than the baseline on test")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the whole record: two tasks with one digest are the same task."""
        record = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(record.encode()).hexdigest()

    @property
    def description(self) -> str:
        """What the agent reads about the problem."""
        return self.problem

    @property
    def path(self) -> Path:
        """The folder with starter repository, reference, metric and scorer; never in a sandbox."""
        return RESEARCH / self.folder

    def starter(self) -> dict[str, bytes]:
        """Return the pristine starter repository: relative path -> content."""
        files = {"main.py": (RESEARCH / "main.py.txt").read_bytes()}
        files["methods/__init__.py"] = (RESEARCH / "methods.py.txt").read_bytes()
        files["README.md"] = f"# {self.title}\n\n{self.problem}".encode()
        files |= {name: (RESEARCH / name).read_bytes() for name in self.shared}
        files |= read_tree(self.path / "starter")
        return files if self.lite else files | read_tree(self.path / "starter_full")

    def reference(self) -> dict[str, bytes]:
        """Return the files of the strong reference method, relative to the repository.

        None for a full task: its reference are people.
        """
        if not self.lite:
            return {}
        files = {f"methods/{k}": v for k, v in read_tree(self.path / "reference").items()}
        register = self.starter()["methods/__init__.py"].decode()
        register = register.replace(
            "import Baseline", "import Baseline\nfrom methods.strong import Strong"
        )
        register = register.replace("Baseline}", 'Baseline, "strong": Strong}')
        return files | {"methods/__init__.py": register.encode()}


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the files of one of this package's own folders by relative path, sorted."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def research_names() -> list[str]:
    """Names of all research tasks."""
    return sorted(path.stem for path in RESEARCH.glob("*.yaml"))


def load_research(name: str) -> ResearchTask:
    """Load one research task by name.

    Raises:
        UnknownTaskError: There is none of this name.
    """
    import yaml

    if name not in research_names():
        raise UnknownTaskError(
            f"no research task named {name!r}; there are: {', '.join(research_names())}"
        )
    return ResearchTask.model_validate(yaml.safe_load((RESEARCH / f"{name}.yaml").read_bytes()))
