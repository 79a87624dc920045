"""Fully connected networks for tables, and the linear model that others are measured against."""

from __future__ import annotations

import math

from pydantic import Field
from torch import nn

from common.models.base import ModelOptions, Width


class MLPOptions(ModelOptions):
    """Options of `mlp`.

    Attributes:
        hidden: widths of the hidden layers.
    """

    hidden: tuple[Width, ...] = Field(default=(32, 16), min_length=1)


class MLP:
    """Multilayer perceptron with tanh units, whose bounded activations suit clipping (Papernot et al. 2021)."""

    Options = MLPOptions

    @staticmethod
    def build(options: MLPOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network; samples of any shape are flattened."""
        layers: list[nn.Module] = [nn.Flatten()]
        features = math.prod(shape)
        for size in options.hidden:
            layers += [nn.Linear(features, size), nn.Tanh()]
            features = size
        return nn.Sequential(*layers, nn.Linear(features, outputs))


class Linear:
    """Logistic or linear regression."""

    Options = ModelOptions

    @staticmethod
    def build(options: ModelOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return one linear layer on the flattened sample, started at zero."""
        layer = nn.Linear(math.prod(shape), outputs)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return nn.Sequential(nn.Flatten(), layer)
