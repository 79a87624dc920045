"""ROC curves from score histograms, which add across sites."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.tasks.base import Floats

SPAN = 60.0
"""Log odds beyond ±60 fall into the outermost bins; overconfident networks do reach 20 and more."""
SHARPNESS = 8.0
"""How much finer the bins are near even odds: private models score close to them."""
CURVE_POINTS = 200


def to_bins(log_odds: Floats, bins: int) -> npt.NDArray[np.int64]:
    """Return the bin of every score; monotone in the score, fine near even odds, coarse far out."""
    scaled = np.arcsinh(SHARPNESS * np.clip(log_odds, -SPAN, SPAN)) / np.arcsinh(SHARPNESS * SPAN)
    return np.asarray(np.clip(((scaled + 1) / 2 * bins).astype(np.int64), 0, bins - 1))


@dataclass(frozen=True)
class Curve:
    """A receiver operating characteristic.

    Attributes:
        false_positive_rate, true_positive_rate: from (0, 0) to (1, 1), thresholds falling.
        auc: area under it, ties counting half.
        standard_error: of the area, after DeLong, DeLong and Clarke-Pearson 1988.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    auc: float
    standard_error: float

    def interval(self, z: float = 1.959964) -> tuple[float, float]:
        """Return the 95 % interval of the area, computed on the logit scale so that it stays within 0 and 1.

        At 0 and at 1, where noise may have pushed the area and the scale ends, it is cut off instead.
        """
        if math.isnan(self.standard_error):
            return self.auc, self.auc
        if not 0 < self.auc < 1:
            reach = z * self.standard_error
            return max(0.0, self.auc - reach), min(1.0, self.auc + reach)
        centre = math.log(self.auc / (1 - self.auc))
        half = z * self.standard_error / (self.auc * (1 - self.auc))
        return _logistic(centre - half), _logistic(centre + half)

    def to_json(self) -> dict[str, Any]:
        """Return the curve's corners, thinned to at most two hundred."""
        steps = np.diff(self.false_positive_rate) + np.diff(self.true_positive_rate)
        corners = np.flatnonzero(np.concatenate([[True], steps > 0]))
        chosen = np.linspace(0, len(corners) - 1, min(len(corners), CURVE_POINTS))
        keep = corners[np.unique(chosen.round().astype(int))]
        return {
            "fpr": self.false_positive_rate[keep].round(5).tolist(),
            "tpr": self.true_positive_rate[keep].round(5).tolist(),
            "auc": self.auc,
        }


def _logistic(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))  # never overflows


def curve(histogram: Floats, variance: float = 0.0) -> Curve:
    """Return the ROC of a histogram `[label, bin]` whose label 0 is negative.

    Args:
        histogram: counts, which noise may have made negative.
        variance: of the noise on every count. The area is then taken from the counts as they are, because cutting off
            negative ones would pull it to ½; its error includes the noise.
    """
    negatives, positives = histogram
    n, m = negatives.sum(), positives.sum()
    lost = 2 * math.sqrt(
        variance * len(negatives)
    )  # a class whose patients the noise hides has no curve
    if n <= lost or m <= lost:
        return Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), math.nan, math.nan)
    below = (np.cumsum(negatives) - negatives / 2) / n
    above = 1 - (np.cumsum(positives) - positives / 2) / m
    auc = float(np.clip((positives * below).sum() / m, 0, 1))
    seen = np.clip(histogram, 0, None)
    spread = _variance(seen[1], below, auc, m) / m + _variance(seen[0], above, auc, n) / n
    if variance:
        spread += _noise(below, above, auc, n, m, variance)
    return Curve(_rising(negatives, n), _rising(positives, m), auc, math.sqrt(spread))


def _noise(below: Floats, above: Floats, auc: float, n: float, m: float, variance: float) -> float:
    """Return what noise on the counts adds to the variance of the area: the slopes, and the products of two noises."""
    bins = len(below)
    slopes = ((below - auc) ** 2).sum() / m**2 + ((above - auc) ** 2).sum() / n**2
    pairs = (bins * (bins - 1) / 2 + bins / 4) / (n * m) ** 2
    return float(variance * slopes + variance**2 * pairs)


def _rising(counts: Floats, total: float) -> Floats:
    """Return the shares above falling thresholds, from 0 to 1; noise must not let them fall or overshoot."""
    shares = np.clip(np.cumsum(counts[::-1]) / total, 0, 1)
    return np.concatenate([[0.0], np.maximum.accumulate(shares)])


def _variance(counts: Floats, placements: Floats, mean: float, total: float) -> float:
    """Return the variance of the placement values, each weighted by its count."""
    return float((counts * (placements - mean) ** 2).sum() / max(total - 1, 1))
