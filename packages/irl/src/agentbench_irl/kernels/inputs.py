"""Inputs of the linear losses: flat, checked and of one type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from agentbench_irl.kernels.backend import BackendName
from agentbench_irl.losses import SoftRows, check, rows_from_values
from agentbench_irl.transitions import next_scored

_LOGITS_MIB = {"cpu": 32.0}
_LOGITS_MIB_ELSEWHERE = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """N rows and the head, cast as autocast asks for.

    Attributes:
        hidden: Shape (N, H).
        weight: Shape (V, H).
        bias: Shape (V,).
        targets: Shape (N,).
        successor: Shape (N,).
        terminal_value: Shape (N,).
        rows: Rows that matter, shape (K,); None where that is not known.
        logit_scale: s.
        softcap: c.
        logits_bytes: Size of the chunk of logits.
        backend: What the caller asks for.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    successor: Tensor
    terminal_value: Tensor
    rows: Tensor | None
    logit_scale: float
    softcap: float | None
    logits_bytes: int
    backend: BackendName

    @classmethod
    def of(
        cls,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        *,
        successor: Tensor | None = None,
        terminal_value: float | Tensor = 0.0,
        rows: Tensor | None = None,
        bias: Tensor | None,
        logit_scale: float,
        softcap: float | None,
        logits_mib: float | None,
        backend: BackendName,
        td_weight: float = 0.0,
        discount: float = 1.0,
        temperature: float,
    ) -> "Inputs":
        """Return the inputs, cast as autocast asks for.

        Raises:
            ValueError: Shapes or types do not agree, or a parameter is out of range.
        """
        check(hidden, targets, discount=discount, temperature=temperature, td_weight=td_weight)
        indices = {"targets": targets, "successor": successor, "rows": rows}
        _check_indices(indices, device=hidden.device)
        _check_head(hidden, weight, bias, softcap=softcap, logits_mib=logits_mib, backend=backend)
        device = hidden.device
        dtype = hidden.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        elif not weight.dtype == dtype == (dtype if bias is None else bias.dtype):
            msg = f"hidden is {dtype} and weight is {weight.dtype}; cast one, or use autocast"
            raise ValueError(msg)
        dtype = torch.float32 if dtype == torch.float16 else dtype
        if logits_mib is None:
            logits_mib = _LOGITS_MIB.get(device.type, _LOGITS_MIB_ELSEWHERE)
        wide = torch.promote_types(dtype, torch.float32)
        count = targets.numel()
        if isinstance(terminal_value, Tensor):
            terminal = terminal_value.detach().to(wide).flatten().expand(count)
        else:
            # filled on the device: copying a number there would wait for it
            terminal = torch.full((count,), terminal_value, dtype=wide, device=device)
        successor = next_scored(targets) if successor is None else successor
        return cls(
            hidden=hidden.flatten(0, -2).to(dtype).contiguous(),
            weight=weight.to(dtype).contiguous(),
            bias=None if bias is None else bias.to(dtype),
            targets=targets.flatten(),
            successor=successor.flatten(),
            terminal_value=terminal,
            rows=rows,
            logit_scale=logit_scale,
            softcap=softcap,
            logits_bytes=int(logits_mib * 2**20),
            backend=backend,
        )

    @property
    def wide(self) -> torch.dtype:
        """The type of everything that has one number per row."""
        return torch.promote_types(self.hidden.dtype, torch.float32)

    def soft_rows(self, q: Tensor, value: Tensor, best: Tensor, *, discount: float) -> SoftRows:
        """Return the rows given Q, V and whether the target is the most likely token."""
        return rows_from_values(
            q,
            value,
            targets=self.targets,
            successor=self.successor,
            correct=best,
            discount=discount,
            terminal_value=self.terminal_value,
        )


def _check_indices(indices: Mapping[str, Tensor | None], *, device: torch.device) -> None:
    """Raise ValueError where a kernel would read an index as what it is not."""
    for name, index in indices.items():
        if index is not None and (index.dtype, index.device) != (torch.int64, device):
            msg = f"{name} is {index.dtype} on {index.device}; it must be torch.int64 on {device}"
            raise ValueError(msg)


def _check_head(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    softcap: float | None,
    logits_mib: float | None,
    backend: str,
) -> None:
    """Raise ValueError where the head does not fit the hidden states."""
    elsewhere = {str(one.device) for one in (weight, bias) if one is not None} - {
        str(hidden.device)
    }
    if elsewhere:
        msg = f"hidden is on {hidden.device} and the head on {elsewhere.pop()}; move one"
        raise ValueError(msg)
    if weight.dim() != 2 or weight.shape[1] != hidden.shape[-1]:
        msg = (
            f"weight of shape {tuple(weight.shape)} does not fit hidden of shape "
            f"{tuple(hidden.shape)}: they must be (V, H) and (..., H)"
        )
        raise ValueError(msg)
    if bias is not None and bias.shape != weight.shape[:1]:
        msg = f"bias of shape {tuple(bias.shape)} does not fit {weight.shape[0]} tokens"
        raise ValueError(msg)
    if softcap is not None and not softcap > 0:
        msg = f"softcap is {softcap}; it must be positive, or None"
        raise ValueError(msg)
    if logits_mib is not None and not logits_mib > 0:
        msg = f"logits_mib is {logits_mib}; it must be positive"
        raise ValueError(msg)
    if backend not in get_args(BackendName):
        msg = f"backend is {backend!r}; it must be auto, torch or cuda"
        raise ValueError(msg)
