"""A Transformer over the columns of a table.

Gorishniy, Rubachev, Khrulkov and Babenko (2021, "Revisiting deep learning models for tabular data", FT-Transformer).
Every input becomes a token of its own, the tokens attend to each other, and one token that stands for the whole row is
read out. Attention lets a finding count differently beside another, without anybody naming the pair.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from common.models.attention import Encoder
from common.models.base import ModelOptions, Width, require_rank


class TabularTransformerOptions(ModelOptions):
    """Options of `tabular-transformer`.

    Attributes:
        width: of a token; a multiple of `heads`.
        heads: of the attention.
        blocks: one after another.
    """

    width: Width = 16
    heads: int = Field(default=2, ge=1, le=64)
    blocks: int = Field(default=2, ge=1, le=12)


class TabularTransformer(nn.Module):
    """`[B, F]` to `[B, outputs]`."""

    def __init__(self, inputs: int, options: TabularTransformerOptions, outputs: int) -> None:
        super().__init__()
        self.width = options.width
        # A grouped convolution of length 1 gives each input a weight and a bias vector of its own. The last token
        # comes from a constant: it is the one that is read out.
        self.tokens = nn.Conv1d(inputs + 1, (inputs + 1) * options.width, 1, groups=inputs + 1)
        self.encoder = Encoder(options.width, options.heads, options.blocks)
        self.head = nn.Linear(options.width, outputs)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `[B, outputs]` for rows `[B, F]`."""
        values = F.pad(rows, (0, 1), value=1.0).unsqueeze(2)
        tokens = self.tokens(values).view(rows.shape[0], -1, self.width)
        outputs: torch.Tensor = self.head(self.encoder(tokens)[:, -1])
        return outputs


class TabularTransformerFamily:
    """FT-Transformer, without dropout."""

    Options = TabularTransformerOptions

    @staticmethod
    def build(
        options: TabularTransformerOptions, shape: tuple[int, ...], outputs: int
    ) -> nn.Module:
        """Return the network for rows `(F,)`.

        Raises:
            StudyError: the samples are no rows, or the heads do not divide the width.
        """
        require_rank("tabular-transformer", shape, 1, "tables")
        return TabularTransformer(shape[0], options, outputs)
