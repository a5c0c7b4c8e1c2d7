"""Samples to a batch: padded, packed or in one long row, with the rows they have in the batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agentbench_irl.data import Sample
from agentbench_irl.linear import needed_rows
from agentbench_irl.transitions import IGNORE, UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Make a batch.

    Texts that share a row are told apart by position ids that start again at 0, without an
    attention mask; that is how transformers recognises packed rows. What pads such a row is one
    more text.

    Attributes:
        pad_token_id: What fills a row.
        shared: Rows hold several texts (packing).
        one_row: The whole batch is one row (padding-free), which variable-length attention kernels
            want.
        pad_to_multiple_of: Round lengths up to a multiple.
        decoder_start_token_id: First decoder input of an encoder-decoder model.
    """

    pad_token_id: int
    shared: bool = False
    one_row: bool = False
    pad_to_multiple_of: int | None = None
    decoder_start_token_id: int | None = None

    def __call__(self, groups: Sequence[tuple[Sample, ...]]) -> dict[str, Tensor]:
        """Return a batch of `len(groups)` rows, or one.

        Args:
            groups: The texts of each row.

        Returns:
            The model's inputs, `targets` and `successor` of shape (B, T), and `rows`, the rows of
            the flattened batch that a loss looks at.
        """
        if self.one_row:
            groups = [tuple(sample for group in groups for sample in group)]
        length = self._rounded(max(sum(len(sample.tokens) for sample in group) for group in groups))
        shape = (len(groups), length)
        tokens = torch.full(shape, self.pad_token_id)
        targets = torch.full(shape, IGNORE)
        successor = torch.full(shape, UNKNOWN)
        position = torch.arange(length).repeat(len(groups), 1)
        mask = torch.zeros(shape, dtype=torch.int64)
        for number, group in enumerate(groups):
            start = 0
            for sample in group:
                end = start + len(sample.tokens)
                rows = sample.rows.at(number * length + start)
                tokens[number, start:end] = sample.tokens
                targets[number, start:end] = rows.targets
                successor[number, start:end] = rows.successor
                position[number, start:end] = torch.arange(end - start)
                start = end
            mask[number, :start] = 1
            position[number, start:] = torch.arange(length - start)
        rows = needed_rows(targets, successor)
        batch = {"targets": targets, "successor": successor, "rows": rows}
        if self.decoder_start_token_id is not None:
            return batch | self._encoder_decoder(tokens, groups)
        if self.shared or self.one_row:
            return batch | {"input_ids": tokens, "position_ids": position}
        return batch | {"input_ids": tokens, "attention_mask": mask}

    def _encoder_decoder(
        self, labels: Tensor, groups: Sequence[tuple[Sample, ...]]
    ) -> dict[str, Tensor]:
        sources = [group[0].source for group in groups]
        texts = [torch.zeros(0, dtype=torch.int64) if text is None else text for text in sources]
        length = self._rounded(max(len(text) for text in texts))
        source = torch.full((len(texts), length), self.pad_token_id)
        mask = torch.zeros_like(source)
        for number, text in enumerate(texts):
            source[number, : len(text)] = text
            mask[number, : len(text)] = 1
        decoder = torch.full_like(labels, self.decoder_start_token_id or 0)
        decoder[:, 1:] = labels[:, :-1]
        return {"input_ids": source, "attention_mask": mask, "decoder_input_ids": decoder}

    def _rounded(self, length: int) -> int:
        multiple = self.pad_to_multiple_of or 1
        return -(-length // multiple) * multiple
