"""Coordinate-wise median.

Yin et al. 2018, "Byzantine-robust distributed learning: towards optimal statistical rates".
"""

from __future__ import annotations

from flwr.serverapp import strategy as flower

from common.algorithms.base import STRATEGY_KEYS, Algorithm


class Median(Algorithm):
    """The median of the sites' weights, every coordinate by itself; sites do not weigh."""

    averages = False

    def strategy(self) -> flower.Strategy:
        """Return Flower's FedMedian."""
        return flower.FedMedian(**STRATEGY_KEYS)
