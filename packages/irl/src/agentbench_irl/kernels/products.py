"""The three matrix products between hidden states, a language-model head and its gradients.

Logits exist one chunk of rows at a time, in one buffer that is used again. Everything else a pass
keeps has one number per row, or is a gradient that was asked for.
"""

from collections.abc import Iterator
from types import ModuleType

import torch
from torch import Tensor

from agentbench_irl.kernels.head import Head

_ALIGNMENT = 16  # rows of a chunk; bytes at which a row of logits starts on a GPU


# since torch 2.8: bfloat16 factors, float32 product
_MIXED_PRODUCTS = "dtype_out" in torch.ops.aten.addmm.overloads()


class HeadProducts:
    """Logits of one chunk after another, and gradients summed over them.

    Attributes:
        chunks: The chunks, from the last row to the first.
        hidden_gradient: ∂L/∂X, shape (N, H); zero rows where no row took part. Empty if not needed.
        weight_gradient: ∂L/∂W, shape (V, H). Empty if not needed.
        bias_gradient: ∂L/∂b, shape (V,). Empty if not needed.
    """

    def __init__(
        self,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rows: Tensor | None,
        *,
        head: Head,
        kernels: ModuleType,
        logits_bytes: int,
        wide_sums: bool,
        needs: list[bool],
    ) -> None:
        """Allocate the buffer and the gradients.

        Args:
            hidden: X, shape (N, H).
            weight: W, shape (V, H), dtype of X.
            bias: b, shape (V,), or None.
            rows: Rows of X that take part, shape (K,); None for all, K = N.
            head: What follows the product.
            kernels: Row arithmetic, as `row_kernels` gives it.
            logits_bytes: Size of the buffer; it holds at least one row.
            wide_sums: Add ∂L/∂W up over the chunks in float32 or better.
            needs: Which of ∂L/∂X, ∂L/∂W, ∂L/∂b are wanted.
        """
        self._hidden, self._weight, self._bias, self._rows = hidden, weight, bias, rows
        self._kernels, self._head, self._scale = kernels, head, head.product_scale
        self.count = hidden.shape[0] if rows is None else rows.shape[0]
        self.chunks = list(
            _chunks(self.count, weight.shape[0] * weight.element_size(), logits_bytes)
        )
        self._buffer = self._new_buffer()
        wide = torch.promote_types(weight.dtype, torch.float32)
        sum_type = wide if wide_sums and len(self.chunks) > 1 else weight.dtype
        of_hidden, of_weight, of_bias = needs
        new = torch.empty if self.chunks and rows is None else torch.zeros
        at = hidden.device
        self.hidden_gradient = new(hidden.shape if of_hidden else 0, dtype=hidden.dtype, device=at)
        self._weight_sum = torch.empty(weight.shape if of_weight else 0, dtype=sum_type, device=at)
        self._bias_sum = torch.zeros(weight.shape[0] if of_bias else 0, dtype=wide, device=at)
        self._empty = True

    @property
    def needed(self) -> bool:
        """Whether any gradient is wanted."""
        return any(g.numel() for g in (self.hidden_gradient, self._weight_sum, self._bias_sum))

    def of_rows(self, per_row: Tensor) -> Tensor:
        """Return what `per_row`, shape (..., N), has for the rows that take part: (..., K)."""
        return per_row if self._rows is None else per_row[..., self._rows]

    def to_all_rows(self, per_row: Tensor) -> Tensor:
        """Return `per_row`, shape (K,), with zeros where a row takes no part: shape (N,)."""
        if self._rows is None:
            return per_row
        return per_row.new_zeros(self._hidden.shape[0]).index_copy_(0, self._rows, per_row)

    def target_logits(self, target: Tensor) -> Tensor:
        """Return the logit of one token per row, summed in float32 or better.

        Args:
            target: y, shape (K,), each in [0, V).

        Returns:
            Shape (K,), float32 or float64.
        """
        product = self._kernels.target_products(self._hidden, self._weight, target, self._rows)
        if self._bias is not None:
            product += self._bias[target]
        return self._head.logit(product)

    def logits(self, chunk: slice) -> Tensor:
        """Return the logits of a chunk, shape (n, V), in the units of `Head`, until the next."""
        x = self._hidden_of(chunk)
        z = self._buffer[: x.shape[0]]
        if self._bias is None:
            return z.addmm_(x, self._weight.t(), beta=0, alpha=self._scale)
        scale = self._scale
        return torch.addmm(self._bias, x, self._weight.t(), beta=scale, alpha=scale, out=z)

    def add_gradients(self, chunk: slice, z: Tensor) -> None:
        """Add what ∂L/∂u of a chunk, shape (n, V), gives to the gradients."""
        if self.hidden_gradient.numel():
            if self._rows is None:
                torch.mm(z, self._weight, out=self.hidden_gradient[chunk])
            else:
                self.hidden_gradient.index_copy_(0, self._rows[chunk], z @ self._weight)
        if self._weight_sum.numel():
            self._add_to_weight(z.t(), self._hidden_of(chunk))
        if self._bias_sum.numel():
            self._bias_sum += z.sum(0, dtype=self._bias_sum.dtype)

    def results(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three gradients in the types of what they are gradients of."""
        if self._empty:
            self._weight_sum.zero_()
        dtype = self._weight.dtype
        return self.hidden_gradient, self._weight_sum.to(dtype), self._bias_sum.to(dtype)

    def _add_to_weight(self, z: Tensor, x: Tensor) -> None:
        total, beta = self._weight_sum, 0 if self._empty else 1
        if total.dtype == z.dtype:
            total.addmm_(z, x, beta=beta)
        elif z.device.type == "cuda" and _MIXED_PRODUCTS:
            torch.addmm(total, z, x, beta=beta, out_dtype=total.dtype, out=total)
        else:
            total.addmm_(z.to(total.dtype), x.to(total.dtype), beta=beta)
        self._empty = False

    def _hidden_of(self, chunk: slice) -> Tensor:
        return self._hidden[chunk if self._rows is None else self._rows[chunk]]

    def _new_buffer(self) -> Tensor:
        rows = max((chunk.stop - chunk.start for chunk in self.chunks), default=0)
        vocabulary = self._weight.shape[0]
        padding = 0
        if self._hidden.device.type == "cuda":
            padding = -vocabulary % (_ALIGNMENT // self._hidden.element_size())
        return self._hidden.new_empty((rows, vocabulary + padding))[:, :vocabulary]


def _chunks(count: int, row_bytes: int, budget: int) -> Iterator[slice]:
    """Yield equal chunks of at most `budget` bytes, from the last row to the first."""
    most = max(1, budget // row_bytes)
    parts = -(-count // most)
    size = -(-count // parts) if parts else 0
    if size > _ALIGNMENT:
        size = min(most, -(-size // _ALIGNMENT) * _ALIGNMENT)
    for start in reversed(range(0, count, max(size, 1))):
        yield slice(start, min(start + size, count))
