"""One class against the rest, as a histogram of scores whose bins are known probabilities.

The ROC, precision and recall, calibration and the decision curve all follow from this one histogram: they cost no
privacy beyond it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.tasks.base import Floats
from common.tasks.roc import SHARPNESS, SPAN


@dataclass(frozen=True)
class Scores:
    """A class's scores over all patients, in bins of rising probability.

    Attributes:
        negatives: [bins] counts of those who do not belong to the class; noise may have made them negative.
        positives: [bins] counts of those who do.
        edges: [bins + 1] probabilities at the bins' edges, from about 0 to about 1.
        middles: [bins] probabilities at the bins' middles.
        variance: of the noise on every count.
    """

    negatives: Floats
    positives: Floats
    edges: Floats
    middles: Floats
    variance: float = 0.0

    @classmethod
    def of(cls, histogram: Floats, variance: float = 0.0, classes: int = 2) -> Scores:
        """Read a histogram `[label, bin]` of log odds as `roc.to_bins` bins them.

        Args:
            histogram: counts by label (0: the rest) and bin.
            variance: of the noise on every count.
            classes: the log odds are against the mean of so many classes less one.
        """
        negatives, positives = histogram
        bins = len(negatives)
        edges = _probability(np.arange(bins + 1) / bins, classes)
        return cls(
            negatives,
            positives,
            edges,
            _probability((np.arange(bins) + 0.5) / bins, classes),
            variance,
        )

    @property
    def totals(self) -> tuple[float, float]:
        """Negatives and positives in all."""
        return float(self.negatives.sum()), float(self.positives.sum())

    @property
    def hidden(self) -> bool:
        """Whether a class is empty, or so small that the noise hides it: twice its standard deviation."""
        return min(self.totals) <= self.noise(len(self.negatives))

    def noise(self, counts: float) -> float:
        """Return twice the standard deviation of the noise in a sum of so many counts."""
        return 2 * math.sqrt(self.variance * counts)

    def above(self, counts: Floats, probability: Floats) -> Floats:
        """Return how many of the counts score above each probability; within a bin they are spread evenly."""
        rising = np.concatenate([[0.0], np.cumsum(counts)])
        return np.asarray(rising[-1] - np.interp(probability, self.edges, rising))


def _probability(place: Floats, classes: int) -> Floats:
    """Return the probability at a place among the bins, 0 to 1: the inverse of `roc.to_bins`."""
    log_odds = np.sinh((2 * place - 1) * np.arcsinh(SHARPNESS * SPAN)) / SHARPNESS
    return np.asarray(0.5 * (1 + np.tanh((log_odds - math.log(classes - 1)) / 2)))
