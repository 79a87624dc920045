"""LSTM and GRU over a window of a series."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from common.models.base import Width, require_rank
from common.models.series import SeriesNetwork, SeriesOptions


class RecurrentOptions(SeriesOptions):
    """Options of `lstm` and `gru`.

    Attributes:
        hidden_size: width of the recurrent state.
        layers: stacked recurrent layers.
    """

    hidden_size: Width = 32
    layers: int = Field(default=1, ge=1, le=4)


class Recurrent(SeriesNetwork):
    """A recurrent encoder whose last state feeds one linear layer: `[B, T, F]` to `[B, outputs]`."""

    def features(self, series: torch.Tensor) -> torch.Tensor:
        """Return the last state, `[B, hidden_size]`."""
        states, _ = self.encoder(series)
        last: torch.Tensor = states[:, -1]
        return last


class LSTM:
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""

    Options = RecurrentOptions

    @staticmethod
    def build(options: RecurrentOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("lstm", shape, 2, "series")
        width = options.width_of(shape)
        encoder = nn.LSTM(width, options.hidden_size, options.layers, batch_first=True)
        return Recurrent(encoder, options.hidden_size, outputs, options.residual)


class GRU:
    """Gated recurrent unit (Cho et al. 2014)."""

    Options = RecurrentOptions

    @staticmethod
    def build(options: RecurrentOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("gru", shape, 2, "series")
        width = options.width_of(shape)
        encoder = nn.GRU(width, options.hidden_size, options.layers, batch_first=True)
        return Recurrent(encoder, options.hidden_size, outputs, options.residual)
