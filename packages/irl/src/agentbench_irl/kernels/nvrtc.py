"""Compile the CUDA kernels with NVRTC, and keep the machine code on disk.

Nothing here needs a GPU: NVRTC comes with every CUDA build of torch, and `cuda.core` (extra `cuda`)
finds and drives it. Machine code is kept in `$AGENTBENCH_IRL_CACHE`, by default
`$XDG_CACHE_HOME/agentbench-irl` or `~/.cache/agentbench-irl`, under the digest of what it was made
from: source, options, architecture and compiler version.
"""

import hashlib
import io
import os
import re
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from agentbench_irl.errors import KernelError

THREADS = 512
SCRATCH_BYTES = 144  # two numbers per warp and two per block, rounded up to 16 bytes
KERNELS = ("softmax_rows", "target_products", "scale")
_ELEMENTS = {torch.bfloat16: "ELEMENT_BFLOAT16", torch.float32: "ELEMENT_FLOAT32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelReport:
    """What the assembler says of one kernel.

    Attributes:
        name: The kernel.
        registers: Per thread.
        spill_bytes: Stored and loaded per thread because registers ran out.
        stack_bytes: Per thread.
    """

    name: str
    registers: int
    spill_bytes: int
    stack_bytes: int


def architecture(capability: tuple[int, int]) -> str:
    """Return the architecture to compile for, given a compute capability.

    >>> architecture((8, 0)), architecture((9, 0)), architecture((10, 0))
    ('sm_80', 'sm_90a', 'sm_100')
    """
    major, minor = capability
    return f"sm_{major}{minor}" + ("a" if (major, minor) == (9, 0) else "")


def source() -> str:
    """Return the CUDA C++ of all kernels."""
    here = files("agentbench_irl.kernels")
    return "\n".join((here / name).read_text() for name in ("device.cuh", "iqlearn.cu"))


def compile_kernels(arch: str, dtype: torch.dtype) -> tuple[bytes, list[KernelReport]]:
    """Return machine code for one architecture and element type, and what the assembler says.

    Args:
        arch: Such as "sm_90a".
        dtype: torch.bfloat16 or torch.float32.

    Raises:
        ImportError: There is no cuda.core, or no NVRTC for it to find.
        KernelError: The source does not compile.
    """
    core: Any = import_module("cuda.core")  # without types that a checker can read
    defines = (_ELEMENTS[dtype], f"THREADS={THREADS}", f"SCRATCH_BYTES={SCRATCH_BYTES}")
    options = core.ProgramOptions(
        arch=arch, std="c++17", define_macro=list(defines), ptxas_options=["-v"]
    )
    log = io.StringIO()
    try:
        cubin = core.Program(source(), "c++", options).compile("cubin", logs=log)
    except Exception as error:  # cuda.core's errors have no public name
        msg = f"the CUDA kernels do not compile for {arch}: {error}"
        raise KernelError(msg) from error
    return bytes(cubin.code), _reports(log.getvalue())


def cached_kernels(arch: str, dtype: torch.dtype) -> bytes:
    """Return machine code from the cache, compiled and put there if it is not.

    Processes may race for the same file: each writes its own and renames it into place. A file
    that does not hold what was written is made again.

    Args:
        arch: Such as "sm_90a".
        dtype: torch.bfloat16 or torch.float32.

    Raises:
        ImportError: See `compile_kernels`.
        KernelError: See `compile_kernels`.
    """
    path = cache_directory() / f"{_digest(arch, dtype)}.cubin"
    try:
        kept = path.read_bytes()
    except OSError:
        kept = b""
    size = hashlib.sha256().digest_size
    if len(kept) > size and hashlib.sha256(kept[size:]).digest() == kept[:size]:
        return kept[size:]
    cubin, _ = compile_kernels(arch, dtype)
    _write(path, hashlib.sha256(cubin).digest() + cubin)
    return cubin


def cache_directory() -> Path:
    """Return where machine code is kept; it need not exist."""
    named = os.environ.get("AGENTBENCH_IRL_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "agentbench-irl"


def _digest(arch: str, dtype: torch.dtype) -> str:
    made_from = (source(), arch, str(dtype), str(THREADS), version("cuda-core"), _nvrtc_version())
    return hashlib.sha256("\0".join(made_from).encode()).hexdigest()


@cache
def _nvrtc_version() -> str:
    nvrtc: Any = import_module("cuda.bindings.nvrtc")
    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


def _write(path: Path, content: bytes) -> None:
    """Write atomically; a cache that cannot be written is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
    except OSError:
        return


_ENTRY = re.compile(
    r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", re.DOTALL
)
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


def _reports(log: str) -> list[KernelReport]:
    reports: list[KernelReport] = []
    for name, said in _ENTRY.findall(log):
        stack, registers = _STACK.search(said), _REGISTERS.search(said)
        if stack is None or registers is None:
            msg = f"the assembler's report on {name} cannot be read: {said!r}"
            raise KernelError(msg)
        frame, stores, loads = map(int, stack.groups())
        reports.append(
            KernelReport(
                name=name,
                registers=int(registers[1]),
                spill_bytes=stores + loads,
                stack_bytes=frame,
            )
        )
    return reports
