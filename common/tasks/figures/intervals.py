"""95 % intervals of shares."""

from __future__ import annotations

import math

Z = 1.959964
"""Standard deviations on each side of a 95 % interval."""
LEAST = 1e-6
"""As good as no patient: the interval is then from 0 to 1."""


def share(part: float, rest: float) -> float:
    """Return what the part is of the whole; NaN where there is nobody."""
    return part / (part + rest) if part + rest > 0 else math.nan


def interval(part: float, rest: float, variance: float = 0.0) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's score (Wilson 1927), within 0 and 1; NaN where there is nobody.

    Args:
        part: how many belong to it.
        rest: how many do not.
        variance: of the noise on each of the two; it counts as if there were fewer patients.
    """
    whole = part + rest
    if whole <= 0:
        return math.nan, math.nan
    found = part / whole
    noise = variance / whole * (found**2 + (1 - found) ** 2) / whole
    count = max(_as_many(found, whole, noise), LEAST)
    centre = (found + Z**2 / (2 * count)) / (1 + Z**2 / count)
    spread = found * (1 - found) / count + Z**2 / (4 * count**2)
    reach = Z * math.sqrt(spread) / (1 + Z**2 / count)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _as_many(found: float, count: float, noise: float) -> float:
    """Return how many patients without noise would leave the share as uncertain as these with it.

    A share of 0 or 1 is moved inwards by half a patient, else it would seem certain.
    """
    inner = min(max(found, 0.5 / (count + 1)), 1 - 0.5 / (count + 1))
    sampling = inner * (1 - inner)
    return sampling / (sampling / count + noise)


def logit_interval(value: float, count: float) -> tuple[float, float]:
    """Return the 95 % interval of an average precision on the logit scale (Boyd, Eng and Page 2013).

    Args:
        value: the average precision.
        count: positives that it is over.
    """
    if not 0 < value < 1 or count <= 0:
        return math.nan, math.nan
    centre = math.log(value / (1 - value))
    half = Z / math.sqrt(max(count * value * (1 - value), LEAST))
    return _logistic(centre - half), _logistic(centre + half)


def _logistic(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))
