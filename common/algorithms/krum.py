"""Krum: Blanchard et al. 2017, "Machine learning with adversaries: Byzantine tolerant gradient descent"."""

from __future__ import annotations

from flwr.serverapp import strategy as flower
from pydantic import Field

from common.algorithms.base import STRATEGY_KEYS, Algorithm
from common.plugins import Options


class KrumOptions(Options):
    """Options of Krum.

    Attributes:
        num_malicious_nodes: how many sites may be faulty.
    """

    num_malicious_nodes: int = Field(default=0, ge=0)


class Krum(Algorithm):
    """The weights of the one site that lies closest to its neighbours."""

    Options = KrumOptions
    averages = False

    def strategy(self) -> flower.Strategy:
        """Return Flower's Krum."""
        return flower.Krum(num_malicious_nodes=self.options.num_malicious_nodes, **STRATEGY_KEYS)
