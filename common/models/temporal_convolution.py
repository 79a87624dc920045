"""Temporal convolutional network: dilated causal convolutions over a series.

Bai, Kolter and Koltun (2018, "An empirical evaluation of generic convolutional and recurrent networks for sequence
modeling"). The original's weight norm and dropout are left out: the first hides the weights from the per-sample rules,
the second draws random numbers.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from common.models.base import Width, require_rank
from common.models.series import SeriesNetwork, SeriesOptions


class TemporalConvolutionOptions(SeriesOptions):
    """Options of `temporal-convolution`.

    Attributes:
        channels: of every convolution.
        blocks: residual blocks of two convolutions each; block k looks back in steps of 2^k.
        kernel_size: taps of every convolution. The last step sees 1 + 2 (kernel_size − 1) (2^blocks − 1) steps.
    """

    channels: Width = 16
    blocks: int = Field(default=3, ge=1, le=12)
    kernel_size: int = Field(default=3, ge=2, le=64)


class CausalConvolution(nn.Module):
    """A convolution that sees the present and the past: `[B, C, T]` to `[B, out, T]`."""

    def __init__(self, channels: int, out: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.before = (kernel_size - 1) * dilation
        self.convolution = nn.Conv1d(channels, out, kernel_size, dilation=dilation)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the filtered maps."""
        filtered: Tensor = self.convolution(functional.pad(maps, (self.before, 0)))
        return filtered


class TemporalBlock(nn.Module):
    """Two causal convolutions, added to what came in: `[B, C, T]` to `[B, out, T]`."""

    def __init__(self, channels: int, out: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            CausalConvolution(channels, out, kernel_size, dilation),
            nn.ReLU(),
            CausalConvolution(out, out, kernel_size, dilation),
            nn.ReLU(),
        )
        self.across = nn.Identity() if channels == out else nn.Conv1d(channels, out, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps after the block."""
        return functional.relu(self.body(maps) + self.across(maps))


class LastStep(nn.Module):
    """Runs blocks over `[B, T, F]` and gives the last step's features, `[B, C]`."""

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, series: Tensor) -> Tensor:
        """Return the last step's features."""
        maps: Tensor = self.blocks(series.transpose(1, 2))
        return maps[:, :, -1]


class TemporalConvolution:
    """Dilated causal convolutions with residual connections; the last step feeds one linear layer."""

    Options = TemporalConvolutionOptions

    @staticmethod
    def build(
        options: TemporalConvolutionOptions, shape: tuple[int, ...], outputs: int
    ) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("temporal-convolution", shape, 2, "series")
        width, blocks = options.width_of(shape), []
        for number in range(options.blocks):
            blocks.append(TemporalBlock(width, options.channels, options.kernel_size, 2**number))
            width = options.channels
        encoder = LastStep(nn.Sequential(*blocks))
        return SeriesNetwork(encoder, width, outputs, options.residual)
