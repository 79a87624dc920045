"""FedAvgM: averaging with server momentum.

Hsu et al. 2019, "Measuring the effects of non-identical data distribution for federated visual classification".
"""

from __future__ import annotations

from flwr.serverapp import strategy as flower
from pydantic import Field

from common.algorithms.base import STRATEGY_KEYS, Algorithm
from common.plugins import Options


class FedAvgMOptions(Options):
    """Options of FedAvgM.

    Attributes:
        server_learning_rate: step size on the averaged update.
        server_momentum: of the averaged updates.
    """

    server_learning_rate: float = Field(default=1.0, gt=0)
    server_momentum: float = Field(default=0.9, ge=0, lt=1)


class FedAvgM(Algorithm):
    """Averaging with momentum at the server."""

    Options = FedAvgMOptions
    state = ("momentum_vector",)

    def strategy(self) -> flower.Strategy:
        """Return Flower's FedAvgM."""
        return flower.FedAvgM(**self.options.model_dump(), **STRATEGY_KEYS)
