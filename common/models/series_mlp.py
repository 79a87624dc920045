"""Fully connected layers over a whole window of a series: the cheapest network, and hard to beat on short windows.

Forecasts from windows of a few dozen steps gain little from layers that know the order of time (Zeng et al. 2023, "Are
transformers effective for time series forecasting?"); what such layers cost buys more passes over the data here.
"""

from __future__ import annotations

from pydantic import Field
from torch import nn

from common.models.base import Width, require_rank
from common.models.series import SeriesNetwork, SeriesOptions


class SeriesMLPOptions(SeriesOptions):
    """Options of `series-mlp`.

    Attributes:
        hidden: widths of the hidden layers, each followed by SiLU.
    """

    hidden: tuple[Width, ...] = Field(default=(64, 64), min_length=1)


class SeriesMLP:
    """Hidden layers that see all steps at once; the last feeds one linear layer."""

    Options = SeriesMLPOptions

    @staticmethod
    def build(options: SeriesMLPOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("series-mlp", shape, 2, "series or signals")
        layers: list[nn.Module] = [nn.Flatten()]
        width = shape[0] * options.width_of(shape)
        for size in options.hidden:
            layers += [nn.Linear(width, size), nn.SiLU()]
            width = size
        return SeriesNetwork(nn.Sequential(*layers), width, outputs, options.residual)
