"""The compiled kernels of the extra `fast`, where they are installed and pay."""

from types import ModuleType

_LARGE = 1 << 20  # rows above which compiling for about a second is accepted


def kernels(rows: int) -> ModuleType | None:
    """The module of compiled kernels; None without numba, or for few rows."""
    if rows < _LARGE:
        return None
    try:
        from agentbench_scoring.metrics import compiled
    except ImportError:
        return None
    return compiled
