"""The smallest noise that keeps a promise: σ from (ε, δ, q, steps), rounded against the spender."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from common.errors import StudyError
from common.privacy.accountants import (
    PROGRESS_INTERVAL,
    RECORD_INTERVAL,
    epsilon_pld,
    epsilon_renyi_quick,
)
from common.privacy.events import Event, GaussianEvent

GRID = 1000  # σ is a multiple of 1/1000
_LOWEST = 50  # σ = 0.05: below it noise protects nobody
_HIGHEST = 10_000_000  # σ = 10,000: above it nothing is learned

Excess = Callable[[int], float]  # of a grid point: log(ε / target), falling; at most 0 is allowed


def noise_multiplier_for(
    epsilon: float,
    delta: float,
    sampling_rate: Fraction,
    steps: int,
    *,
    beside: Sequence[Event] = (),
) -> float:
    """Smallest σ (a multiple of 0.001, at least 0.05) whose PLD ε is at most `epsilon`.

    Searched on a coarse grid of losses, then settled on the grid of record, where the result itself
    is checked.

    Args:
        epsilon: target ε > 0, add/remove one unit.
        delta: δ in (0, 1).
        sampling_rate: q of the steps to be calibrated.
        steps: how many there will be, at least 1.
        beside: what else composes with them on the same units.

    Raises:
        StudyError: a number is out of range, or no σ up to 10,000 is enough.
    """
    require_target(epsilon, steps)
    sampler: Any = "full" if sampling_rate == 1 else "poisson"

    def events(point: int) -> list[Event]:
        return [GaussianEvent(sampler, sampling_rate, point / GRID, 1.0, steps), *beside]

    def excess(interval: float) -> Excess:
        return lambda point: _log_ratio(epsilon_pld(events(point), delta, interval), epsilon)

    record = excess(RECORD_INTERVAL)
    _require_possible(epsilon, delta, beside, record)
    quick = epsilon * _looseness(delta, beside)
    guess = _smallest(lambda n: _log_ratio(epsilon_renyi_quick(events(n), delta), quick), GRID)
    return _settle(record, *_secant(excess(PROGRESS_INTERVAL), guess)) / GRID


def _looseness(delta: float, beside: Sequence[Event]) -> float:
    """By how much the quick bound overstates what composes beside; it must leave room for the guess."""
    spent = epsilon_pld(beside, delta)
    return max(1.0, epsilon_renyi_quick(beside, delta) / spent) if spent else 1.0


def _secant(excess: Excess, guess: int, tries: int = 6) -> tuple[int, float]:
    """About where `excess` crosses 0, by straight lines in log σ, and how steeply it falls there."""
    last, point = guess, _inside(guess * 15 // 16)
    at_last, value = excess(last), excess(point)
    slope = _slope(last, at_last, point, value)
    for _ in range(tries):
        following = _root(point, value, slope)
        if abs(following - point) <= 1:
            break
        last, at_last, point = point, value, following
        value = excess(point)
        slope = _slope(last, at_last, point, value)
    return following, slope


def _settle(record: Excess, point: int, slope: float) -> int:
    """Smallest grid point with `record` ≤ 0, from one that is near.

    The returned point is always evaluated. Whether the one below it fails is read off the slope when there is no doubt:
    a figure of record takes a while.
    """
    value = record(point)
    for _ in range(3):
        exact = point * math.exp(-value / slope)
        doubt = not 0.05 < point - exact < 0.95
        following = _root(point, value, slope)
        if following == point and value <= 0 and not doubt:
            return point
        if following == point or abs(following - point) > point // 50:
            break
        at_following = record(following)
        slope = _slope(point, value, following, at_following)
        point, value = following, at_following
    return _smallest(record, point)


def _root(point: int, value: float, slope: float) -> int:
    """Where the straight line through a point reaches 0, rounded up and kept in the range."""
    return _inside(math.ceil(point * math.exp(max(-2.0, min(2.0, -value / slope)))))


def _slope(first: int, at_first: float, second: int, at_second: float) -> float:
    """Of `excess` in log σ; -1, its value for much noise, where two points tell nothing."""
    found = (at_second - at_first) / math.log(second / first) if second != first else 0.0
    return found if found < -0.1 else -1.0


def _smallest(excess: Excess, guess: int) -> int:
    """Smallest grid point with `excess` ≤ 0; `excess` falls and is ≤ 0 at the highest point."""
    low, high = _bracket(excess, guess)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if excess(middle) <= 0 else (middle, high)
    return high


def _bracket(excess: Excess, guess: int) -> tuple[int, int]:
    """Points low < high with excess(low) > 0 ≥ excess(high); low may be the one below the range."""
    stride, point = 1, guess  # strides 1, 1, 2, 4, ...: the guess is mostly next to the answer
    if excess(point) > 0:
        while point < _HIGHEST and excess(_inside(point + stride)) > 0:
            point, stride = _inside(point + stride), max(1, abs(point + stride - guess))
        return point, _inside(point + stride)
    while point > _LOWEST and excess(_inside(point - stride)) <= 0:
        point, stride = _inside(point - stride), max(1, abs(point - stride - guess))
    return max(point - stride, _LOWEST - 1), point


def _inside(point: int) -> int:
    return min(max(point, _LOWEST), _HIGHEST)


def _log_ratio(epsilon: float, target: float) -> float:
    return math.log(max(epsilon, 1e-300) / target)


def require_target(epsilon: float, steps: int) -> None:
    """Refuse an ε that is no target, and fewer than one step."""
    if not 0 < epsilon < math.inf:
        raise StudyError(
            f"Expected epsilon to be above 0 and finite, not {epsilon!r}.", where="epsilon"
        )
    if steps < 1:
        raise StudyError(
            f"Expected steps to be 1 or more, not {steps!r}.",
            where="steps",
            fix="Without a step there is no noise to choose.",
        )


def _require_possible(
    epsilon: float, delta: float, beside: Sequence[Event], record: Excess
) -> None:
    spent = epsilon_pld(beside, delta)
    if spent >= epsilon:
        raise StudyError(
            f"No noise is enough: ε = {spent:.3f} is spent beside these steps, of {epsilon:.3f}.",
            where="epsilon",
            fix="Raise epsilon, or lower what else is released.",
        )
    if record(_HIGHEST) > 0:
        raise StudyError(
            f"No noise up to σ = {_HIGHEST / GRID:,.0f} reaches ε = {epsilon}.",
            where="epsilon",
            fix="Raise epsilon or delta, or lower the steps or the sampling rate.",
        )
