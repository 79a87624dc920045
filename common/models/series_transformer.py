"""A Transformer over a series: patches of it as tokens, self-attention between them.

Vaswani et al. (2017); several time steps in one token after Nie et al. (2023, "A time series is worth 64 words"), which
makes attention, whose cost grows with the square of the tokens, affordable for long signals.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from common.errors import StudyError
from common.models.attention import Encoder, LearnedPositions, require_heads
from common.models.base import Width, require_rank
from common.models.series import SeriesNetwork, SeriesOptions


class SeriesTransformerOptions(SeriesOptions):
    """Options of `series-transformer`.

    Attributes:
        width: of a token.
        heads: of the attention; they divide the width.
        blocks: encoder blocks.
        patch: time steps in one token; they divide the window.
        summary: what feeds the last layer: the mean of all tokens, or the last one (for forecasting).
    """

    width: Width = 32
    heads: int = Field(default=4, ge=1, le=64)
    blocks: int = Field(default=2, ge=1, le=24)
    patch: int = Field(default=1, ge=1)
    summary: str = Field(default="mean", pattern="^(mean|last)$")


class SeriesEncoder(nn.Module):
    """Patches, their places, encoder blocks, a summary: `[B, T, F]` to `[B, width]`."""

    def __init__(self, options: SeriesTransformerOptions, steps: int, features: int) -> None:
        super().__init__()
        self.patch, self.summary = options.patch, options.summary
        self.embed = nn.Linear(options.patch * features, options.width)
        self.positions = LearnedPositions(steps // options.patch, options.width)
        self.blocks = Encoder(options.width, options.heads, options.blocks)

    def forward(self, series: Tensor) -> Tensor:
        """Return the summary of the tokens."""
        patches = series.unflatten(1, (-1, self.patch)).flatten(2)
        tokens: Tensor = self.blocks(self.positions(self.embed(patches)))
        return tokens[:, -1] if self.summary == "last" else tokens.mean(1)


class SeriesTransformer:
    """Self-attention over patches of a series."""

    Options = SeriesTransformerOptions

    @staticmethod
    def build(options: SeriesTransformerOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`.

        Raises:
            StudyError: the patches do not divide the window, or the heads the width.
        """
        require_rank("series-transformer", shape, 2, "series")
        require_heads(options.width, options.heads)
        if shape[0] % options.patch:
            raise StudyError(
                f"Patches of {options.patch} steps do not divide a window of {shape[0]}.",
                where="[model] patch",
                fix="Use a divisor of the window's length.",
            )
        encoder = SeriesEncoder(options, shape[0], options.width_of(shape))
        return SeriesNetwork(encoder, options.width, outputs, options.residual)
