"""Calibration: whether of those given 20 % about 20 % are ill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.tasks.base import Floats
from common.tasks.figures.intervals import interval
from common.tasks.figures.scores import Scores

Places = npt.NDArray[np.int64]
GROUPS = 10
"""Groups of equal width that predictions are sorted into, as in Guo et al. 2017."""
EDGES = np.linspace(0, 1, GROUPS + 1)
"""Of the groups: the mean of each lies between its own, whatever the noise did."""


@dataclass(frozen=True)
class Calibration:
    """How predicted probabilities meet what happened.

    Attributes:
        predicted: [groups] mean predicted probability; NaN where a group is empty or hidden by noise.
        observed: [groups] share of positives.
        low: [groups] lower end of the 95 % interval of the share.
        high: [groups] upper end.
        count: [groups] how many.
        error: expected calibration error (Naeini, Cooper and Hauskrecht 2015): the groups' mean distance between
            predicted and observed, weighted by their counts; what noise alone would add is taken off.
        gap: mean prediction minus share of positives; above 0 the model warns too often.
        brier: mean squared error of the probabilities (Brier 1950).
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    count: Floats
    error: float
    gap: float
    brier: float

    def to_json(self) -> dict[str, Any]:
        """Return the groups that are there."""
        there = ~np.isnan(self.predicted)
        names = ("predicted", "observed", "low", "high", "count")
        found: dict[str, Any] = {n: getattr(self, n)[there].round(5).tolist() for n in names}
        return found | {"error": self.error, "gap": self.gap}


def calibration(scores: Scores) -> Calibration:
    """Return the calibration of a histogram; its bins must be finer than the groups."""
    group = np.clip((scores.middles * GROUPS).astype(np.int64), 0, GROUPS - 1)
    positives, negatives = _by(group, scores.positives), _by(group, scores.negatives)
    expected = _by(group, scores.middles * (scores.positives + scores.negatives))
    cells = _by(group, np.ones(len(group)))
    count = positives + negatives
    there = count > np.maximum(2 * np.sqrt(2 * scores.variance * cells), 0)
    ends = [
        interval(max(0.0, p), max(0.0, n), scores.variance * c) if seen else (math.nan, math.nan)
        for p, n, c, seen in zip(positives, negatives, cells, there, strict=True)
    ]
    low, high = np.array(ends).T
    return Calibration(
        predicted=np.clip(_shares(expected, count, there), EDGES[:-1], EDGES[1:]),
        observed=np.clip(_shares(positives, count, there), 0, 1),
        low=low,
        high=high,
        count=count,
        **_overall(scores, expected - positives, group),
    )


def _overall(scores: Scores, apart: Floats, group: Places) -> dict[str, float]:
    """Return the figures over all groups; NaN where the noise hides a class."""
    whole = sum(scores.totals)
    if scores.hidden or whole <= 0:
        return dict.fromkeys(("error", "gap", "brier"), math.nan)
    p = scores.middles
    noise = scores.variance * _by(group, p**2 + (1 - p) ** 2)
    distance = np.sqrt(np.clip(apart**2 - noise, 0, None)).sum()
    squares = (scores.positives * (1 - p) ** 2 + scores.negatives * p**2).sum()
    return {
        "error": float(min(1.0, distance / whole)),
        "gap": float(np.clip(apart.sum() / whole, -1, 1)),
        "brier": float(squares / whole) if squares >= 0 else math.nan,
    }


def _by(group: Places, values: Floats) -> Floats:
    return np.bincount(group, weights=values, minlength=GROUPS).astype(np.float64)


def _shares(part: Floats, whole: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    found = np.full(len(part), np.nan)
    np.divide(part, whole, out=found, where=there)
    return found
