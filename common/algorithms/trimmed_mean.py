"""Coordinate-wise trimmed mean.

Yin et al. 2018, "Byzantine-robust distributed learning: towards optimal statistical rates".
"""

from __future__ import annotations

from flwr.serverapp import strategy as flower
from pydantic import Field

from common.algorithms.base import STRATEGY_KEYS, Algorithm
from common.plugins import Options


class TrimmedMeanOptions(Options):
    """Options of the trimmed mean.

    Attributes:
        beta: share of the sites cut off at each end of every coordinate.
    """

    beta: float = Field(default=0.2, ge=0, lt=0.5)


class TrimmedMean(Algorithm):
    """The mean of what is left after cutting the extremes; sites do not weigh."""

    Options = TrimmedMeanOptions
    averages = False

    def strategy(self) -> flower.Strategy:
        """Return Flower's FedTrimmedAvg."""
        return flower.FedTrimmedAvg(beta=self.options.beta, **STRATEGY_KEYS)
