"""The decision curve: whether acting on the model helps more than treating all or none.

Vickers and Elkin 2006. Who treats above a probability t says that one missed patient is as bad as (1 − t)/t patients
treated in vain; the net benefit counts true positives a patient and takes off false ones at that exchange rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from common.tasks.figures.scores import Scores

THRESHOLDS = np.arange(1, 100) / 100
"""Probabilities above which one would treat."""


def decision_curve(scores: Scores) -> dict[str, Any]:
    """Return the net benefit by threshold, of the model and of treating all; empty where noise hides a class."""
    if scores.hidden:
        return {"threshold": [], "model": [], "all": []}
    negatives, positives = scores.totals
    whole = negatives + positives
    price = THRESHOLDS / (1 - THRESHOLDS)
    right = np.clip(scores.above(scores.positives, THRESHOLDS), 0, positives)
    wrong = np.clip(scores.above(scores.negatives, THRESHOLDS), 0, negatives)
    return {
        "threshold": THRESHOLDS.tolist(),
        "model": ((right - wrong * price) / whole).round(5).tolist(),
        "all": ((positives - negatives * price) / whole).round(5).tolist(),
    }
