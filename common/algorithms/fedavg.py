"""Federated averaging.

McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data".
"""

from __future__ import annotations

from flwr.serverapp import strategy as flower

from common.algorithms.base import STRATEGY_KEYS, Algorithm


class FedAvg(Algorithm):
    """Mean of the sites' weights, weighted by their declared patients."""

    def strategy(self) -> flower.Strategy:
        """Return Flower's FedAvg."""
        return flower.FedAvg(**STRATEGY_KEYS)
