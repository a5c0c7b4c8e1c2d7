"""A loss in place of a model's language-model head.

The logits of a batch are by far its largest tensor. Here a model runs as it is, with its head
replaced for one forward pass by a function of the hidden states and the head's weight. The function
runs inside the model's forward, where distributed wrappers have the weight gathered.
"""
# torch and transformers annotate modules in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from agentbench_irl.errors import UnsupportedModelError

HeadLoss = Callable[[Tensor, Tensor, Tensor | None], dict[str, Tensor]]

# what the replaced head answers, so that what the model does to its logits shows
_PROBE = (0.0, 1.0, -3.0, 30.0)


@dataclass(slots=True, kw_only=True)
class LinearHead:
    """The head of a model: logits = c tanh(s (W x + b) / c).

    Attributes:
        module: The linear layer.
        logit_scale: s.
        softcap: c, None without soft-capping.
    """

    module: nn.Linear
    logit_scale: float
    softcap: float | None
    _probed: bool = field(default=False, init=False)

    @classmethod
    def of(cls, model: nn.Module) -> "LinearHead | None":
        """Return the head of a language model, None if it is not one plain linear layer."""
        module = cast("Any", model).get_output_embeddings()
        if type(module) is not nn.Linear:
            return None
        config = cast("Any", model).config.get_text_config()
        scale = getattr(config, "logit_scale", None) or 1.0
        divisor = getattr(config, "logits_scaling", None) or 1.0
        return cls(
            module=module,
            logit_scale=float(scale) / float(divisor),
            softcap=getattr(config, "final_logit_softcapping", None),
        )

    def logits(self, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the logits of some rows, shape (..., V)."""
        return self._shaped(nn.functional.linear(hidden, weight, bias))

    def install(self, model: nn.Module) -> None:
        """Let `model(..., head_loss=f)` return what `f(hidden, weight, bias)` does.

        Without that argument the model is what it was.
        """
        forward = model.forward

        @functools.wraps(forward)
        def with_loss(*args: Any, head_loss: HeadLoss | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
            run = functools.partial(forward, *args, **kwargs)
            return run() if head_loss is None else self._instead_of_logits(run, head_loss)

        cast("Any", model).forward = with_loss

    def _instead_of_logits(self, run: Callable[[], Any], head_loss: HeadLoss) -> dict[str, Tensor]:
        results = list[dict[str, Tensor]]()

        def head(hidden: Tensor) -> Tensor:
            results.append(self._apply(head_loss, hidden))
            return hidden.new_tensor(_PROBE).expand(*hidden.shape[:-1], len(_PROBE))

        before = self.module.__dict__.get("forward")
        cast("Any", self.module).forward = head
        try:
            outputs = run()
        finally:
            del cast("Any", self.module).forward
            if before is not None:
                cast("Any", self.module).forward = before
        if len(results) != 1:
            msg = f"the model called its head {len(results)} times; set loss_backend to 'logits'"
            raise UnsupportedModelError(msg)
        self._check_probe(outputs.logits)
        result = results[0]
        if getattr(outputs, "aux_loss", None) is not None:
            result["aux_loss"] = outputs.aux_loss
        return result

    def _apply(self, head_loss: HeadLoss, hidden: Tensor) -> dict[str, Tensor]:
        weight, bias = self.module.weight, cast("Tensor | None", self.module.bias)
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        dtype = weight.dtype if dtype is None else dtype
        with torch.autocast(device, enabled=False):
            return head_loss(
                hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
            )

    def _check_probe(self, logits: Tensor) -> None:
        """Raise where the model does to its logits what is not known here."""
        if self._probed:
            return
        found = logits.detach().flatten(0, -2)[0, : len(_PROBE)].float().cpu()
        expected = self._shaped(torch.tensor(_PROBE))
        if not torch.allclose(found, expected, rtol=2e-2, atol=1e-3):
            msg = (
                "the model changes its logits in a way that the linear loss does not know "
                f"({list(_PROBE)} became {found.tolist()}); set loss_backend to 'logits'"
            )
            raise UnsupportedModelError(msg)
        self._probed = True

    def _shaped(self, logits: Tensor) -> Tensor:
        logits = logits * self.logit_scale
        if self.softcap is None:
            return logits
        return self.softcap * torch.tanh(logits / self.softcap)
