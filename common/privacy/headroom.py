"""What still fits a promise: the most steps, or the highest sampling rate, that keep ε at or below a target.

Beside `calibration.noise_multiplier_for`, which finds σ. All round against the spender and check the result itself on
the grid of record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from common.errors import StudyError
from common.privacy.accountants import PROGRESS_INTERVAL, RECORD_INTERVAL, epsilon_pld
from common.privacy.calibration import require_target
from common.privacy.events import Event, GaussianEvent, Sampler

MOST_STEPS = 10_000_000
DENOMINATOR = 10_000
"""q is a multiple of one part in so many, unless another denominator is asked for."""


def steps_for(
    epsilon: float,
    delta: float,
    sampling_rate: Fraction,
    noise_multiplier: float,
    *,
    beside: Sequence[Event] = (),
    most: int = MOST_STEPS,
) -> int:
    """Most steps, 0 … `most`, whose PLD ε together with `beside` is at most `epsilon`.

    Args:
        epsilon: target ε > 0, add/remove one unit.
        delta: δ in (0, 1).
        sampling_rate: q of the steps.
        noise_multiplier: σ of the steps.
        beside: what else composes with them on the same units.
        most: never more than this.

    Raises:
        StudyError: a number is out of range, or `beside` alone costs more than `epsilon`.
    """
    require_target(epsilon, most)
    sampler: Sampler = "full" if sampling_rate == 1 else "poisson"
    step = GaussianEvent(sampler, sampling_rate, noise_multiplier, 1.0, 1)
    _require_room(epsilon, delta, beside)

    def fits(count: int, interval: float) -> bool:
        events = [step.with_steps(count), *beside]
        return epsilon_pld(events, delta, interval) <= epsilon

    return largest(fits, 0, most)


def sampling_rate_for(
    epsilon: float,
    delta: float,
    noise_multiplier: float,
    steps: int,
    *,
    beside: Sequence[Event] = (),
    denominator: int = DENOMINATOR,
) -> Fraction:
    """Highest q, a multiple of 1/`denominator`, whose PLD ε together with `beside` is at most `epsilon`.

    Args:
        epsilon: target ε > 0, add/remove one unit.
        delta: δ in (0, 1).
        noise_multiplier: σ of the steps.
        steps: how many there will be, at least 1.
        beside: what else composes with them on the same units.
        denominator: the answer is exact as k/denominator, in lowest terms.

    Raises:
        StudyError: a number is out of range, or not even q = 1/denominator fits.
    """
    require_target(epsilon, steps)
    _require_room(epsilon, delta, beside)

    def fits(point: int, interval: float) -> bool:
        rate = Fraction(point, denominator)
        sampler: Sampler = "full" if rate == 1 else "poisson"
        events = [GaussianEvent(sampler, rate, noise_multiplier, 1.0, steps), *beside]
        return epsilon_pld(events, delta, interval) <= epsilon

    point = largest(fits, 0, denominator)
    if point == 0:
        raise StudyError(
            f"No sampling rate from 1/{denominator} up reaches ε = {epsilon} with σ = {noise_multiplier:g} in "
            f"{steps:,} steps.",
            where="sampling_rate",
            fix="Raise epsilon or the noise, or lower the steps.",
        )
    return Fraction(point, denominator)


def largest(fits: Callable[[int, float], bool], low: int, high: int) -> int:
    """Largest whole number in `low` … `high` that fits on the grid of record; `low` is known to fit.

    What fits must fit for every smaller number, too. A coarser grid, on which fewer fit, finds about where; then the
    grid of record decides.
    """
    near = _climb(lambda n: fits(n, PROGRESS_INTERVAL), low, high, low)
    return _climb(lambda n: fits(n, RECORD_INTERVAL), low, high, near)


def _climb(fits: Callable[[int], bool], low: int, high: int, start: int) -> int:
    """Double the stride upwards from `start` (downwards where it does not fit), then halve the gap."""
    stride = max(1, start // 256)
    good, bad = (start, high + 1) if start == low or fits(start) else (low, start)
    while bad == high + 1 and good < high:
        probe = min(good + stride, high)
        good, bad = (probe, bad) if fits(probe) else (good, probe)
        stride *= 2
    while bad <= start and bad - 1 > good and bad - stride > good:
        probe = bad - stride
        if fits(probe):
            good = probe
            break
        bad, stride = probe, stride * 2
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def _require_room(epsilon: float, delta: float, beside: Sequence[Event]) -> None:
    spent = epsilon_pld(beside, delta)
    if spent > epsilon:
        raise StudyError(
            f"Nothing fits: ε = {spent:.3f} is spent beside these steps, of {epsilon:.3f}.",
            where="epsilon",
            fix="Raise epsilon, or lower what else is released.",
        )
