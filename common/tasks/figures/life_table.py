"""Survival in a group from counts that add across sites: Kaplan and Meier (1958) on public intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.tasks.base import Floats


@dataclass(frozen=True)
class LifeTable:
    """Who had the event in which interval, and who was lost after how many.

    Attributes:
        events: [J] patients with the event in each interval; noise may have made counts negative.
        lost: [J + 1] patients without it who were seen to live through 0, 1, … J intervals.
    """

    events: Floats
    lost: Floats

    @property
    def count(self) -> float:
        """All patients."""
        return float(self.events.sum() + self.lost.sum())

    @property
    def at_risk(self) -> Floats:
        """[J] Patients seen in each interval, with the event or through it."""
        ended = np.cumsum(self.events) - self.events + np.cumsum(self.lost)[:-1]
        return np.asarray(self.count - ended)

    @property
    def survival(self) -> Floats:
        """[J] Share without the event at the end of each interval; it never rises."""
        hazard = _ratio(self.events, self.at_risk)
        return np.asarray(np.cumprod(1 - np.clip(hazard, 0, 1)))

    @property
    def still_seen(self) -> Floats:
        """[J] Chance of not having been lost before the events of each interval."""
        lost = self.lost[:-1]
        return np.asarray(np.cumprod(1 - np.clip(_ratio(lost, lost + self.at_risk), 0, 1)))


def brier(table: LifeTable, squares: Floats) -> Floats:
    """Return the Brier score at each edge, [J]; NaN where it cannot be had.

    Every patient whose state at the edge is known stands for those like them who were lost before: weights are one
    over the chance of still being seen (Graf, Schmoor, Sauerbrei and Schumacher 1999).

    Args:
        table: of all patients.
        squares: [J, J + 1] squared errors at each edge: summed over the patients with the event by then, by the
            interval of the event, and in the last column over those known to have lived past the edge.
    """
    seen = table.still_seen
    weights = np.divide(1.0, seen, out=np.full(len(seen), np.nan), where=seen > 0)
    came = np.tril(squares[:, :-1]) @ np.nan_to_num(weights)
    total = came + squares[:, -1] * weights
    possible = (total >= 0) & (table.count > 0)
    return np.asarray(np.divide(total, table.count, out=np.full(len(seen), np.nan), where=possible))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return shares, 0 where there is nobody."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
