"""Calibration of survival: patients sorted by predicted risk, and what came of each group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from common.tasks.base import Floats
from common.tasks.figures.intervals import interval
from common.tasks.figures.life_table import LifeTable
from common.tasks.figures.scores import Scores

GROUPS = 10
"""Groups of equal size, from the lowest to the highest risk."""


def risk_groups(events: Floats, lost: Floats, variance: float = 0.0) -> dict[str, Any]:
    """Return predicted and observed risk by the last edge, by group; those that noise hides are left out.

    The observed risk is Kaplan and Meier's, so that who was lost early counts as long as they were seen. Its interval
    takes the group's size as that of those whose state is known.

    Args:
        events: [J, bins] patients with the event in each interval, by predicted risk.
        lost: [J + 1, bins] patients without it who lived through 0 … J intervals.
        variance: of the noise on every count.
    """
    counts = events.sum(0) + lost.sum(0)
    risk = Scores.of(np.zeros((2, len(counts)))).middles
    rows: list[tuple[float, ...]] = []
    for chosen in _equal_groups(np.clip(counts, 0, None)):
        cells = int(chosen.sum()) * (len(events) + len(lost))
        count = float(counts[chosen].sum())
        if count <= max(0.0, 2 * math.sqrt(variance * cells)):
            continue
        table = LifeTable(events[:, chosen].sum(1), lost[:, chosen].sum(1))
        observed = 1 - float(table.survival[-1])
        known = max(0.0, float(table.events.sum() + table.lost[-1]))
        low, high = interval(observed * known, (1 - observed) * known, variance * cells)
        predicted = float(np.clip(counts[chosen] @ risk[chosen] / count, 0, 1))
        rows.append((predicted, observed, low, high, count))
    columns = list(zip(*rows, strict=True)) or [()] * 5
    names = ("predicted", "observed", "low", "high", "count")
    found: dict[str, Any] = {name: list(v) for name, v in zip(names, columns, strict=True)}
    return found | {"error": _error(rows)}


def _error(rows: list[tuple[float, ...]]) -> float:
    """Return the groups' mean distance between predicted and observed, weighted by their counts."""
    if not rows:
        return math.nan
    predicted, observed, _, _, count = np.array(rows).T
    return float(np.average(np.abs(predicted - observed), weights=count))


def _equal_groups(counts: Floats) -> list[Any]:
    """Return which bins belong to each group; groups that no bin falls into are left out."""
    if counts.sum() <= 0:
        return []
    place = (np.cumsum(counts) - counts / 2) / counts.sum()
    group = np.clip((place * GROUPS).astype(int), 0, GROUPS - 1)
    return [group == number for number in np.unique(group[counts > 0])]
