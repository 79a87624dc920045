"""How often, of two patients, the one with the higher risk has the event first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.tasks.base import Floats
from common.tasks.figures.intervals import Z


@dataclass(frozen=True)
class Concordance:
    """The index of Harrell, Califf, Pryor, Lee and Rosati (1982).

    Attributes:
        index: share of the pairs that are ordered rightly, ties of the score counting half; NaN where there is none.
        standard_error: of the index.
    """

    index: float
    standard_error: float

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval, on the logit scale so that it stays within 0 and 1."""
        if not 0 < self.index < 1 or math.isnan(self.standard_error):
            return math.nan, math.nan
        centre = math.log(self.index / (1 - self.index))
        half = Z * self.standard_error / (self.index * (1 - self.index))
        low, high = (0.5 * (1 + math.tanh((centre + s * half) / 2)) for s in (-1, 1))
        return low, high


def concordance(events: Floats, lost: Floats, variance: float = 0.0) -> Concordance:
    """Return the index from histograms of scores, which add across sites.

    A pair counts if one patient had the event in an interval through which the other is known to have lived: two
    events of one interval, and who was lost before its end, say nothing about the order.

    Args:
        events: [J, bins] patients with the event in each interval, by rising score.
        lost: [J + 1, bins] patients without it who lived through 0 … J intervals.
        variance: of the noise on every count; the error includes what it does to first order.
    """
    later = _later(events, lost)
    pairs = float((events * later.sum(1, keepdims=True)).sum())
    noise = 2 * math.sqrt(variance * (events.size + lost.size))
    if pairs <= 0 or events.sum() <= noise or lost.sum() <= noise:
        return Concordance(math.nan, math.nan)
    index = float(np.clip((events * _below(later)).sum() / pairs, 0, 1))
    first, second = _influence(events, lost, later, index, pairs)
    spread = (np.clip(events, 0, None) * first**2).sum() + (
        np.clip(lost, 0, None) * second**2
    ).sum()
    spread += variance * ((first**2).sum() + (second**2).sum())
    return Concordance(index, math.sqrt(spread))


def _later(events: Floats, lost: Floats) -> Floats:
    """Return who is known to have lived through each interval, [J, bins]."""
    after = np.concatenate([events[1:], np.zeros_like(events[:1])]) + lost[1:]
    return np.asarray(np.cumsum(after[::-1], axis=0)[::-1])


def _below(counts: Floats) -> Floats:
    """Return how many have a lower score, ties counting half, along the last axis."""
    return np.asarray(np.cumsum(counts, axis=-1) - counts / 2)


def _influence(
    events: Floats, lost: Floats, later: Floats, index: float, pairs: float
) -> tuple[Floats, Floats]:
    """Return how far one more patient of each cell would move the index, for `events` and `lost`."""
    as_first = _below(later) - index * later.sum(1, keepdims=True)
    above = events.sum(1, keepdims=True) - _below(events)
    each = above - index * events.sum(1, keepdims=True)
    earlier = np.concatenate([np.zeros_like(each[:1]), np.cumsum(each, axis=0)])
    return (as_first + earlier[:-1]) / pairs, earlier / pairs
