"""FedAdagrad: Reddi et al. 2021, "Adaptive federated optimization"."""

from __future__ import annotations

from flwr.serverapp import strategy as flower

from common.algorithms.base import STRATEGY_KEYS, Algorithm
from common.algorithms.fedopt import FedOptOptions


class FedAdagrad(Algorithm):
    """Adagrad at the server, on the averaged update."""

    Options = FedOptOptions
    state = ("m_t", "v_t")

    def strategy(self) -> flower.Strategy:
        """Return Flower's FedAdagrad."""
        return flower.FedAdagrad(**self.options.model_dump(), **STRATEGY_KEYS)
