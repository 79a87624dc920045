"""Resampling through the slices: which slices make one plane, and with what weight."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Weights = list[tuple[int, float]]
"""Numbers of slices with their weights; none where there is nothing."""
_USUAL = 1.5  # a gap so many times the usual one is where a slice is missing


def usual_gap(depths: Sequence[float]) -> float:
    """Return the usual distance between slices (mm); 0 where there is only one."""
    return float(np.median(np.diff(depths))) if len(depths) > 1 else 0.0


def is_broken(depths: Sequence[float], low: float, high: float, most: float | None) -> bool:
    """Tell whether slices are missing, or too far apart, between two depths.

    Args:
        depths: of the slices, ascending.
        low, high: the range that is needed.
        most: the longest gap that may be joined; none: half again the usual one.
    """
    limit = most if most is not None else _USUAL * usual_gap(depths)
    pairs = pairwise(depths)
    return any(b - a > limit * 1.001 and b > low and a < high for a, b in pairs)


def weights(depths: Sequence[float], wanted: float, step: float) -> Weights:
    """Return what makes the plane at a depth.

    Between two slices that is a straight line; where the planes are further apart than the slices,
    all slices near one are averaged, so that nothing is lost between them. Beyond half a gap outside
    the stack there is nothing.

    Args:
        depths: of the slices (mm), ascending and different.
        wanted: the plane's.
        step: distance between planes.
    """
    gap = usual_gap(depths) or step
    if not depths[0] - gap / 2 <= wanted <= depths[-1] + gap / 2:
        return []
    places = np.asarray(depths)
    if step <= gap * 1.001:
        index = int(np.clip(np.searchsorted(places, wanted), 1, max(1, len(places) - 1)))
        if len(places) == 1:
            return [(0, 1.0)]
        share = (wanted - places[index - 1]) / (places[index] - places[index - 1])
        share = float(np.clip(share, 0.0, 1.0))
        return [(n, w) for n, w in ((index - 1, 1.0 - share), (index, share)) if w > 0.0]
    cells = np.gradient(places) if len(places) > 1 else np.ones(1)
    kernel = np.maximum(0.0, 1.0 - np.abs(places - wanted) / step) * cells
    kernel = kernel / kernel.sum()
    return [(int(n), float(kernel[n])) for n in np.flatnonzero(kernel)]
