"""How the sandboxes of an episode are opened: back end, limits and seed, fixed when it begins."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbench_agents.workspace import DATA

if TYPE_CHECKING:
    from agentbench_sandbox import Limits, Mount, Sandbox
    from agentbench_tasks import ResearchTask, SubmissionTask

UNSAFE = "unsafe-local"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOpener:
    """Opens the sandboxes of one episode, all alike.

    Attributes:
        task: The task, for its resources and what must be hidden.
        backend: Name of a back end, `unsafe-local`, or a function that opens a sandbox.
        image: Image of the docker back end.
        limits: Limits; by default those of the task.
        seed: What programs see as `AGENTBENCH_SEED` and `PYTHONHASHSEED`.
    """

    task: "SubmissionTask | ResearchTask"
    backend: "str | Callable[[], Sandbox]"
    image: str | None
    limits: "Limits | None"
    seed: int

    def with_data(self, public: Path) -> "Sandbox":
        """Open a sandbox that shows the public data at `DATA`."""
        from agentbench_sandbox import Mount

        return self((Mount(str(public), DATA),))

    def __call__(self, mounts: "tuple[Mount, ...]") -> "Sandbox":
        """Open a sandbox.

        Raises:
            agentbench_sandbox.SandboxError: None can be had.
        """
        from agentbench_sandbox import open_sandbox

        if callable(self.backend):
            return self.backend()
        unsafe = self.backend == UNSAFE
        return open_sandbox(
            "local" if unsafe else self.backend,
            image=self.image,
            limits=self.limits or self._task_limits(),
            mounts=mounts,
            env={"AGENTBENCH_SEED": str(self.seed), "PYTHONHASHSEED": str(self.seed)},
            hide=() if unsafe else self.task.hide,
            unsafe=unsafe,
        )

    def _task_limits(self) -> "Limits":
        from agentbench_sandbox import Limits

        resources: Any = self.task.resources  # those of a research task say more
        research = self.task.kind == "research"
        return Limits(
            memory_mib=resources.memory_mib,
            disk_mib=min(resources.disk_mib, resources.memory_mib // 2),
            gpus=resources.gpus,
            cpus=resources.cpus if research else None,
            file_mib=max(1024, resources.output_mib) if research else 1024,
        )
