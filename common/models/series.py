"""What networks over a series have in common: an encoder, one linear layer, and forecasts as changes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common.models.base import ModelOptions

CHANGE_SCALE = 10.0
"""Changes within a window are about a tenth of the values' range: this brings both to one size."""


class SeriesOptions(ModelOptions):
    """Options of every network over a series.

    Attributes:
        residual: for forecasting: predict the change from the window's last value of the first channel, so that an
            untrained network already is the persistence forecast, and see the window's changes beside its values.
    """

    residual: bool = False

    def width_of(self, shape: tuple[int, ...]) -> int:
        """Return the features of a time step as the encoder sees them, for windows of `shape` (T, F)."""
        return shape[1] * 2 if self.residual else shape[1]


class SeriesNetwork(nn.Module):
    """An encoder whose features feed one linear layer: `[B, T, F]` to `[B, outputs]`.

    Args:
        encoder: maps `[B, T, F]`, or `[B, T, 2F]` with the changes beside the values, to `[B, features]`.
        features: width of what the encoder gives.
        outputs: of the network.
        residual: see `SeriesOptions`.
    """

    def __init__(self, encoder: nn.Module, features: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(features, outputs)
        self.residual = residual
        if residual:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(self, series: Tensor) -> Tensor:
        """Return `[B, outputs]` for windows `[B, T, F]`."""
        if not self.residual:
            return self._outputs(series)
        changes = CHANGE_SCALE * (series - series[:, -1:])
        return series[:, -1, :1] + self._outputs(torch.cat([series, changes], dim=2))

    def features(self, series: Tensor) -> Tensor:
        """Return what the linear layer sees, `[B, features]`."""
        found: Tensor = self.encoder(series)
        return found

    def _outputs(self, series: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.features(series))
        return outputs
