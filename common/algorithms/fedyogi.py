"""FedYogi: Reddi et al. 2021, "Adaptive federated optimization"."""

from __future__ import annotations

from flwr.serverapp import strategy as flower

from common.algorithms.base import STRATEGY_KEYS, Algorithm
from common.algorithms.fedopt import MomentOptions


class FedYogi(Algorithm):
    """Yogi at the server, on the averaged update."""

    Options = MomentOptions
    state = ("m_t", "v_t")

    def strategy(self) -> flower.Strategy:
        """Return Flower's FedYogi."""
        return flower.FedYogi(**self.options.model_dump(), **STRATEGY_KEYS)
