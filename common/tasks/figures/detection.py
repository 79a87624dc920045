"""FROC and average precision, from counts of hits and of false finds by score."""

from __future__ import annotations

import math

import numpy as np

from common.tasks.base import Floats

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False finds an image at which the LUNA16 challenge reads the sensitivity (Setio et al. 2017)."""


def falling(counts: Floats) -> Floats:
    """Return how many score at least as high as each bin, from the highest bin down.

    Noise can make counts negative: sums never fall again.
    """
    sums: Floats = np.maximum.accumulate(np.clip(np.cumsum(counts[::-1]), 0.0, None))
    return sums


def froc(hits: Floats, false: Floats, true: float, images: float) -> tuple[Floats, Floats]:
    """Return false finds an image and sensitivity, from the highest threshold to the lowest.

    Args:
        hits: [bins] by rising score.
        false: [bins].
        true: points there are.
        images: images there are.
    """
    return falling(false) / images, np.clip(falling(hits) / true, 0.0, 1.0)


def sensitivity_at(rates: Floats, sensitivity: Floats, rate: float) -> float:
    """Return the highest sensitivity with at most so many false finds an image."""
    return float(sensitivity[rates <= rate].max(initial=0.0))


def average_precision(hits: Floats, false: Floats, true: float) -> float:
    """Return the area under precision over recall, precision made to fall (Everingham et al. 2010, all points)."""
    found, wrong = falling(hits), falling(false)
    recall = np.clip(found / true, 0.0, 1.0)
    total = found + wrong
    precision = np.divide(found, total, out=np.zeros_like(found), where=total > 0)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    area = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return min(max(area, 0.0), 1.0)


def hidden(true: float, images: float, variance: float) -> bool:
    """Tell whether there are no true points, or so few that noise hides them: twice its standard deviation."""
    return min(true, images) <= 2 * math.sqrt(variance)
