"""Precision and recall over all thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.tasks.base import Floats
from common.tasks.figures.scores import Scores
from common.tasks.roc import CURVE_POINTS


@dataclass(frozen=True)
class PrecisionRecall:
    """A precision-recall curve.

    Attributes:
        recall: share of the positives that is found, thresholds falling.
        precision: share of the found that is positive.
        average: the average precision: each step of recall times its precision, without interpolation.
        prevalence: share of positives, which is what guessing reaches.
    """

    recall: Floats
    precision: Floats
    average: float
    prevalence: float

    def to_json(self) -> dict[str, Any]:
        """Return the curve, thinned to at most two hundred points."""
        moves = np.flatnonzero(np.diff(self.recall, prepend=-1.0) > 0)
        chosen = np.linspace(0, len(moves) - 1, min(len(moves), CURVE_POINTS)).round().astype(int)
        keep = moves[np.unique(chosen)]
        return {
            "recall": self.recall[keep].round(5).tolist(),
            "precision": self.precision[keep].round(5).tolist(),
            "average": self.average,
            "prevalence": self.prevalence,
        }


def precision_recall(scores: Scores) -> PrecisionRecall:
    """Return precision and recall of a histogram.

    Where noise hides how many are found, at the highest thresholds, the precision is that of the first threshold
    where it does not.
    """
    if scores.hidden:
        return PrecisionRecall(np.zeros(0), np.zeros(0), math.nan, math.nan)
    negatives, positives = scores.totals
    right, wrong = _found(scores.positives, positives), _found(scores.negatives, negatives)
    found = right + wrong
    seen = found > np.maximum(2 * np.sqrt(2 * scores.variance * np.arange(1, len(found) + 1)), 0)
    precision = np.divide(right, found, out=np.zeros_like(right), where=seen)
    first = int(np.argmax(seen))
    precision[:first] = precision[first]
    recall = right / positives
    average = float((np.diff(recall, prepend=0.0) * precision).sum())
    return PrecisionRecall(recall, precision, average, positives / (positives + negatives))


def _found(counts: Floats, total: float) -> Floats:
    """Return how many score above falling thresholds; noise must not let them fall or overshoot."""
    return np.asarray(np.maximum.accumulate(np.clip(np.cumsum(counts[::-1]), 0, total)))
