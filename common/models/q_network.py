"""A network that values actions: every state of an episode by itself."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from common.models.base import ModelOptions, Width, require_rank


class QNetworkOptions(ModelOptions):
    """Options of `q-network`.

    Attributes:
        hidden: widths of the hidden layers.
    """

    hidden: tuple[Width, ...] = Field(default=(32, 32), min_length=1)


class EveryState(nn.Module):
    """`[B, D + 1, F]` to `[B, outputs, D + 1]`: the same layers for each state, which sees no other state."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return `[B, outputs, D + 1]` for states `[B, D + 1, F]`."""
        values: torch.Tensor = self.layers(states)
        return values.transpose(1, 2)


class QNetwork:
    """Fully connected layers with tanh units, as neural fitted Q iteration has them (Riedmiller 2005)."""

    Options = QNetworkOptions

    @staticmethod
    def build(options: QNetworkOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for episodes `(D + 1, F)`."""
        require_rank("q-network", shape, 2, "episodes")
        layers: list[nn.Module] = []
        features = shape[1]
        for size in options.hidden:
            layers += [nn.Linear(features, size), nn.Tanh()]
            features = size
        return EveryState(nn.Sequential(*layers, nn.Linear(features, outputs)))
