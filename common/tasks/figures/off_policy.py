"""What a policy would have been worth, from the outcomes under another one.

Weighted importance sampling (Precup, Sutton and Singh 2000; Thomas 2015): an outcome counts as often as the policy
would have taken the actions that led to it, against the one that took them. Its interval is that of a ratio of sums,
by the delta method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.tasks.base import Floats
from common.tasks.figures.intervals import Z

HIDDEN = 3.0
"""Standard deviations of noise within which a sum of weights is as good as none."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error; both NaN where there is nobody.

    Attributes:
        mean: the estimate.
        error: its standard error, noise included.
        count: how many equally weighted outcomes would be as certain.
    """

    mean: float
    error: float
    count: float

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval."""
        return self.mean - Z * self.error, self.mean + Z * self.error


NOTHING = Estimate(math.nan, math.nan, math.nan)


def plain_mean(sums: Floats, variance: float) -> Estimate:
    """Return the mean outcome.

    Args:
        sums: [3], how many, and sums of the outcomes and of their squares.
        variance: of the noise on each.
    """
    count, total, squares = (float(value) for value in sums)
    if count <= HIDDEN * math.sqrt(variance) or count <= 0:
        return NOTHING
    mean = total / count
    spread = max(0.0, squares / count - mean**2)
    error = math.sqrt(spread / count + variance * (1 + mean**2) / count**2)
    return Estimate(mean, error, count)


def weighted_mean(sums: Floats, squares: Floats, variance: float) -> Estimate:
    """Return the mean of weighted outcomes.

    Args:
        sums: [2], sums of the weights w and of w times the outcome g.
        squares: [3], sums of w², w²g and w²g².
        variance: of the noise on each.
    """
    weight, total = (float(value) for value in sums)
    if weight <= HIDDEN * math.sqrt(variance) or weight <= 0:
        return NOTHING
    mean = total / weight
    spread = float(squares[2]) - 2 * mean * float(squares[1]) + mean**2 * float(squares[0])
    error = math.sqrt(max(0.0, spread) + variance * (1 + mean**2)) / weight
    own = float(squares[0])
    return Estimate(mean, error, weight**2 / own if own > 0 else math.nan)
