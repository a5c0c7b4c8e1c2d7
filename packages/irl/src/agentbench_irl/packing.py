"""Several texts in a row: which share one, and whether the model keeps them apart."""
# torch and transformers annotate models in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from agentbench_irl.data import Sample
from agentbench_irl.errors import UnsupportedModelError

_PROBE_TOKENS = 16
_APART = 0.1  # rounding leaves about 1e-6 in float32 and 0.02 in bfloat16; no separation, 0.3 to 1


class Rows(Dataset[tuple[Sample, ...]]):
    """The texts of each row of a batch."""

    def __init__(self, groups: Sequence[tuple[Sample, ...]]) -> None:
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> tuple[Sample, ...]:
        return self.groups[index]


def pack(samples: Sequence[Sample], capacity: int) -> list[tuple[Sample, ...]]:
    """Return the samples in bins of at most `capacity` tokens, best fit decreasing.

    The bins are those of longest texts first; equal input gives equal bins.
    """
    order = sorted(range(len(samples)), key=lambda i: -len(samples[i].tokens))
    bins = list[list[Sample]]()
    open_bins = dict[int, list[int]]()  # free tokens -> bins, so that the fullest that fits is near
    for index in order:
        need = len(samples[index].tokens)
        free = min(
            (space for space, held in open_bins.items() if space >= need and held), default=None
        )
        if free is None:
            number = len(bins)
            bins.append([])
            free = capacity
        else:
            number = open_bins[free].pop()
            if not open_bins[free]:
                del open_bins[free]
        bins[number].append(samples[index])
        open_bins.setdefault(free - need, []).append(number)
    return [tuple(held) for held in bins]


def check_packing(model: nn.Module, tokens: Tensor) -> None:
    """Refuse a model in which a text can see the text before it in its row.

    That texts share a row is told to a model by position ids that start again at 0. Some
    architectures (BLOOM, MPT, OPT, state-space models) go on as if it were one text, and would
    be trained on prefixes that are not there, without an error. So two texts are run three ways:
    the second alone (a), behind the first as packed (p), and behind the first as one text (o). The
    model keeps texts apart if |p - a| is nothing beside |o - a|.

    Args:
        model: A decoder-only model, where it will be trained.
        tokens: Some tokens, shape (T,), T at least 2; their halves stand for the two texts.

    Raises:
        UnsupportedModelError: A text sees the one before it.
    """
    first, second = tokens[: 2 * _PROBE_TOKENS].tensor_split(2)
    apart, behind, together = (
        torch.cat([torch.arange(n, device=tokens.device) for n in lengths])
        for lengths in ((len(second),), (len(first), len(second)), (len(first) + len(second),))
    )

    def logits(ids: Tensor, position: Tensor) -> Tensor:
        out = model(input_ids=ids[None], position_ids=position[None], use_cache=False)
        return out.logits[0, -len(second) :].float()

    training = model.training
    model.eval()
    with torch.no_grad():
        alone = logits(second, apart)
        leak = float((logits(torch.cat([first, second]), behind) - alone).norm())
        most = float((logits(torch.cat([first, second]), together) - alone).norm())
    model.train(training)
    if leak > _APART * most:
        msg = (
            f"{type(model).__name__} does not keep texts apart that share a row: behind another "
            f"text, a text's logits change by {leak:.3g}, as one text by {most:.3g}; set packing "
            "and padding_free to false"
        )
        raise UnsupportedModelError(msg)
