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
        residual: for forecasting: predict the change from the window's last value of the first channel, so that an
            untrained network already is the persistence forecast, and see the window's changes beside its values.
    """

    hidden_size: Width = 32
    layers: int = Field(default=1, ge=1, le=4)
    residual: bool = False


CHANGE_SCALE = 10.0
"""Changes within a window are about a tenth of the values' range: this brings both to one size."""


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
        if not self.residual:
            return self._head(series)
        changes = CHANGE_SCALE * (series - series[:, -1:])
        return series[:, -1, :1] + self._head(torch.cat([series, changes], dim=2))

    def _head(self, series: torch.Tensor) -> torch.Tensor:
        states, _ = self.encoder(series)
        outputs: torch.Tensor = self.head(states[:, -1])
        return outputs


def _width(options: RecurrentOptions, shape: tuple[int, ...]) -> int:
    """Return the features of a time step as the encoder sees them."""
    return shape[1] * 2 if options.residual else shape[1]


class LSTM:
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""

    Options = RecurrentOptions

    @staticmethod
    def build(options: RecurrentOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("lstm", shape, 2, "series")
        encoder = nn.LSTM(
            _width(options, shape), options.hidden_size, options.layers, batch_first=True
        )
        return Recurrent(encoder, options.hidden_size, outputs, options.residual)


class GRU:
    """Gated recurrent unit (Cho et al. 2014)."""

    Options = RecurrentOptions

    @staticmethod
    def build(options: RecurrentOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for windows `(T, F)`."""
        require_rank("gru", shape, 2, "series")
        encoder = nn.GRU(
            _width(options, shape), options.hidden_size, options.layers, batch_first=True
        )
        return Recurrent(encoder, options.hidden_size, outputs, options.residual)
