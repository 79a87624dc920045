"""BLEU of a whole corpus from sums that add over reports (Papineni et al. 2002)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from common.tasks.base import Floats

ORDERS = 4
"""Longest run of words that is compared."""


def runs(written: Sequence[int], reference: Sequence[int]) -> tuple[Floats, Floats]:
    """Return how many runs of 1 to 4 words the written report shares with the reference, and how many it has, [4]."""
    shared, proposed = np.zeros(ORDERS), np.zeros(ORDERS)
    for order in range(ORDERS):
        ours, theirs = _counted(written, order + 1), _counted(reference, order + 1)
        shared[order] = (ours & theirs).total()
        proposed[order] = ours.total()
    return shared, proposed


def bleu(shared: Floats, proposed: Floats, reference: float, orders: int = ORDERS) -> float:
    """Return the geometric mean of the shares of runs, times the penalty for writing too little.

    0 where no run of some length is right; NaN where there are no reports, or where noise pushed a sum outside of what
    is possible.

    Args:
        shared: runs of 1, 2, … words that reports share with their references, [4].
        proposed: runs that were written, [4].
        reference: words of the references.
        orders: longest run that counts.
    """
    part, whole = shared[:orders], proposed[:orders]
    possible = (whole >= 0) & (part >= 0) & (part <= whole * (1 + 1e-9))
    if not possible.all() or reference <= 0:
        return math.nan
    if not part.all():
        return 0.0
    penalty = min(0.0, 1.0 - reference / float(whole[0]))
    return math.exp(penalty + float(np.log(part / whole).mean()))


def most_runs(length: int) -> Floats:
    """Return how many runs of 1 to 4 words a report of so many words has, [4]."""
    return np.maximum(length - np.arange(ORDERS), 0).astype(np.float64)


def _counted(words: Sequence[int], order: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
