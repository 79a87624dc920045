"""Do the scores of canaries that were in stand further apart from those that were out than the noise allows?

A certificate must hold whatever the mechanism; an alarm may use that it ought to be Gaussian, and so notices much
smaller leaks. It proves nothing by itself, and its false alarm rate is stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import chi2, nct

Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-7
"""Chance that an honest mechanism raises one alarm."""


@dataclass(frozen=True)
class Separation:
    """How far apart two groups of scores lie.

    Attributes:
        mu: difference of their means over their common standard deviation: the point estimate of μ.
        p_value: chance of a larger one from a mechanism with the claimed μ.
    """

    mu: float
    p_value: float

    @property
    def alarm(self) -> bool:
        """Whether an honest mechanism would hardly ever show it."""
        return self.p_value < FALSE_ALARM


def separation(scores: Floats, inside: npt.NDArray[np.bool_], claimed: float) -> Separation:
    """Compare canaries that were in with those that were out; exact for Gaussian scores (noncentral t).

    Args:
        scores: `[m]`.
        inside: `[m]`, whose coin fell that way.
        claimed: μ of the mechanism as it is accounted for.
    """
    members, others = scores[inside], scores[~inside]
    gap = float(members.mean() - others.mean())
    squares = float(((members - members.mean()) ** 2).sum() + ((others - others.mean()) ** 2).sum())
    freedom, size = len(scores) - 2, math.sqrt(1 / len(members) + 1 / len(others))
    deviation = math.sqrt(squares / freedom)
    if deviation <= 1e-12 * abs(gap):
        return Separation(math.inf, 0.0)
    mu = gap / deviation
    return Separation(mu, _upper_tail(mu / size, freedom, claimed / size))


def _upper_tail(t: float, freedom: int, centre: float) -> float:
    """P[T ≥ t] of the noncentral t; far out, where its series fails, by a normal approximation."""
    spread = math.sqrt(1 + centre**2 / (2 * freedom))
    rough = float(ndtr((centre - t) / spread))
    if rough < 1e-14 or rough > 0.5:
        return rough
    exact = float(nct.sf(t, freedom, centre))
    return exact if math.isfinite(exact) and exact > 0 else rough


@dataclass(frozen=True)
class Moments:
    """What the scores of a subsampled mechanism must keep to.

    Attributes:
        noise: standard deviation of the scores that were out, as a share of what is claimed.
        share: mean of the scores that were in, as a share of what is claimed.
        p_value: chance that an honest mechanism shows so little noise, or so large a share.
    """

    noise: float
    share: float
    p_value: float

    @property
    def alarm(self) -> bool:
        """Whether an honest mechanism would hardly ever show it."""
        return self.p_value < FALSE_ALARM


def moments(
    scores: Floats, inside: npt.NDArray[np.bool_], rate: float, sigma: float, steps: int
) -> Moments:
    """Compare scores, in units of C summed over `steps`, with Poisson sampling at `rate` and noise of σ."""
    members, others = scores[inside], scores[~inside]
    variance = steps * sigma**2
    squares = float((others**2).sum())
    little = float(chi2.cdf(squares / variance, len(others)))
    mean, taken = float(members.mean()), rate * steps
    spread = math.sqrt((variance + steps * rate * (1 - rate)) / len(members))
    much = float(ndtr((taken - mean) / spread))
    noise = math.sqrt(squares / len(others) / variance)
    return Moments(noise, mean / taken, min(1.0, 2 * min(little, much)))
