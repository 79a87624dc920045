"""What a number of right guesses about canaries proves about ε.

A canary is a unit of privacy that took part by the toss of a fair coin. Whoever sees the release guesses the coins of
`guesses` of the `canaries`, a number fixed beforehand, and gets `correct` of them right. A mechanism that keeps its
promise bounds how many that can be.

- `steinke`: Steinke, Nasr and Jagielski 2023, "Privacy auditing with one (1) training run", arXiv 2305.08846, against
  (ε, δ)-DP. It never exceeds about ln(canaries/3).
- `rejects`: Mahloujifar, Melis and Chaudhuri 2024, "Auditing f-differential privacy in one run", arXiv 2410.22235,
  against a whole trade-off curve; tighter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import binom

TradeOff = Callable[[float], float]
"""f(α): the least false negative rate of a test, at false positive rate α, of whether one unit took part."""

LARGEST_EPSILON = 60.0
LARGEST_MU = 40.0
_HALVINGS = 40


@dataclass(frozen=True)
class Guesses:
    """The outcome of an attack.

    Attributes:
        canaries: m, units that were in by a fair coin.
        guesses: r, how many coins were guessed; fixed before the release was seen.
        correct: v, how many of them rightly.
    """

    canaries: int
    guesses: int
    correct: int


def gaussian(mu: float) -> TradeOff:
    """Trade-off of telling N(0, 1) from N(μ, 1) (Dong, Roth and Su 2019, arXiv 1905.02383)."""
    return lambda alpha: float(ndtr(-ndtri(alpha) - mu))


def approximate(epsilon: float, delta: float) -> TradeOff:
    """Trade-off that (ε, δ)-DP promises, of whatever mechanism."""
    grown, shrunk = math.exp(epsilon), math.exp(-epsilon)
    return lambda alpha: max(0.0, 1 - delta - grown * alpha, shrunk * (1 - delta - alpha))


def rejects(found: Guesses, trade_off: TradeOff, significance: float) -> bool:
    """Whether so many right guesses refute a trade-off at a level of significance.

    If the mechanism had it, the sum of what `r` (right) and `h` (wrong) guesses make up of all canaries, followed from
    `correct` right guesses down to none, would stay within guesses/canaries: algorithm 3 of the paper.
    """
    m, guesses, correct = found.canaries, found.guesses, found.correct
    right, wrong = significance * correct / m, significance * (guesses - correct) / m
    for i in range(correct - 1, -1, -1):
        least = max(wrong, trade_off(1 - right))
        if least == wrong:  # from here on nothing moves
            break
        right = min(right + i / (guesses - i) * (least - wrong), 1.0)
        wrong = least
    return right + wrong > guesses / m


def gaussian_bound(found: Guesses, significance: float) -> float:
    """Largest μ whose Gaussian trade-off is refuted; 0 where not even the smallest is."""
    return _largest(lambda mu: rejects(found, gaussian(mu), significance), LARGEST_MU)


def approximate_bound(found: Guesses, delta: float, significance: float) -> float:
    """Largest ε whose (ε, δ)-DP is refuted by the f-DP argument, of whatever mechanism."""
    return _largest(
        lambda epsilon: rejects(found, approximate(epsilon, delta), significance), LARGEST_EPSILON
    )


def steinke(found: Guesses, delta: float, significance: float) -> float:
    """Largest ε whose (ε, δ)-DP is refuted by Steinke, Nasr and Jagielski's theorem."""
    return _largest(
        lambda epsilon: steinke_p_value(found, epsilon, delta) <= significance, LARGEST_EPSILON
    )


def steinke_p_value(found: Guesses, epsilon: float, delta: float) -> float:
    """Chance of so many right guesses, at most, against an (ε, δ)-DP mechanism (theorem 5.2 of the paper)."""
    m, guesses, correct = found.canaries, found.guesses, found.correct
    rate = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(correct - 1, guesses, rate))
    i = np.arange(1, correct + 1)
    shares = (binom.sf(correct - i - 1, guesses, rate) - tail) / i
    return min(1.0, tail + 2 * m * delta * float(np.max(shares, initial=0.0)))


def epsilon_of(mu: float, delta: float) -> float:
    """ε at δ of a Gaussian trade-off (Balle and Wang 2018, arXiv 1805.06530)."""
    if mu <= 0:
        return 0.0

    def leaks(epsilon: float) -> bool:
        lost = ndtr(mu / 2 - epsilon / mu) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
        return bool(lost > delta)

    return _largest(leaks, mu * (mu / 2 + 40)) if math.isfinite(mu) else math.inf


def _largest(holds: Callable[[float], bool], top: float) -> float:
    """Largest value up to `top` at which a falling condition still holds; 0 where it never does."""
    low, high = 0.0, top
    if not holds(1e-9):
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
