"""LSTM and GRU over a window of a series."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from common.models.base import ModelOptions, Width, require_rank


class RecurrentOptions(ModelOptions):
    """Options of `lstm` and `gru`.

    Attributes:
        hidden_size: width of the recurrent state.
        layers: stacked recurrent layers.
        residual: predict the change from the window's last value of the first channel (for forecasting), so that
            an untrained network already is the persistence forecast.
    """

    hidden_size: Width = 32
    layers: int = Field(default=1, ge=1, le=4)
    residual: bool = False


class Recurrent(nn.Module):
    """A recurrent encoder whose last state feeds one linear layer: `[B, T, F]` to `[B, outputs]`."""

    def __init__(self, encoder: nn.Module, hidden_size: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(hidden_size, outputs)
        self.residual = residual
        if residual:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Return `[B, outputs]` for windows `[B, T, F]`."""
        states, _ = self.encoder(series)
        change: torch.Tensor = self.head(states[:, -1])
        return change + series[:, -1, :1] if self.residual else change


class LSTM:
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""

    Options = RecurrentOptions

    @staticmethod
    def build(options: RecurrentOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("lstm", shape, 2, "series")
        encoder = nn.LSTM(shape[1], options.hidden_size, options.layers, batch_first=True)
        return Recurrent(encoder, options.hidden_size, outputs, options.residual)


class GRU:
    """Gated recurrent unit (Cho et al. 2014)."""

    Options = RecurrentOptions

    @staticmethod
    def build(options: RecurrentOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("gru", shape, 2, "series")
        encoder = nn.GRU(shape[1], options.hidden_size, options.layers, batch_first=True)
        return Recurrent(encoder, options.hidden_size, outputs, options.residual)
