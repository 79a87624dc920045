"""σ is the smallest on its grid that keeps the promise, and never below it."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from common.errors import StudyError
from common.privacy.accountants import epsilon_pld, epsilon_renyi_quick
from common.privacy.calibration import noise_multiplier_for
from common.privacy.events import GaussianEvent


def run(q: Fraction, sigma: float, steps: int) -> GaussianEvent:
    return GaussianEvent("poisson", q, sigma, 1.0, steps)


BESIDE = (GaussianEvent("full", Fraction(1), 20.0, 1.0, 3), run(Fraction(1, 10), 3.0, 20))


@pytest.mark.parametrize(
    ("epsilon", "delta", "q", "steps", "beside"),
    [
        (8.0, 1e-3, Fraction(1, 4), 100, ()),
        (1.0, 1e-5, Fraction(1, 20), 200, ()),
        (3.0, 1e-5, Fraction(1), 10, ()),
        (0.001, 1e-6, Fraction(1, 1000), 10, ()),
        (6.0, 1e-3, Fraction(1, 8), 64, BESIDE),
    ],
)
def test_the_smallest_noise_that_keeps_the_promise(
    epsilon: float, delta: float, q: Fraction, steps: int, beside: tuple[GaussianEvent, ...]
) -> None:
    sigma = noise_multiplier_for(epsilon, delta, q, steps, beside=beside)
    assert sigma * 1000 == pytest.approx(round(sigma * 1000), abs=1e-9)
    assert epsilon_pld([run(q, sigma, steps), *beside], delta) <= epsilon
    assert epsilon_pld([run(q, sigma - 0.001, steps), *beside], delta) > epsilon


def test_little_room_beside_much_that_was_spent() -> None:
    """What the quick bound makes of the steps beside is more than the whole target."""
    spent = (run(Fraction(1, 5), 2.0, 100),)
    target = 1.02 * epsilon_pld(spent, 1e-3)
    assert epsilon_renyi_quick(spent, 1e-3) > target
    sigma = noise_multiplier_for(target, 1e-3, Fraction(1, 5), 160, beside=spent)
    assert epsilon_pld([run(Fraction(1, 5), sigma, 160), *spent], 1e-3) <= target
    assert epsilon_pld([run(Fraction(1, 5), sigma - 0.001, 160), *spent], 1e-3) > target


def test_a_promise_that_asks_for_little_gets_the_lowest_noise() -> None:
    assert noise_multiplier_for(1e4, 1e-3, Fraction(1, 100), 1) == 0.05


@pytest.mark.parametrize(
    ("epsilon", "steps", "beside", "name"),
    [
        (8.0, 0, (), "steps"),
        (8.0, -3, (), "steps"),
        (0.0, 10, (), "epsilon"),
        (math.inf, 10, (), "epsilon"),
        (math.nan, 10, (), "epsilon"),
        (0.5, 10, BESIDE, "epsilon"),
        (1e-9, 10**6, (), "epsilon"),
    ],
)
def test_the_impossible_is_refused_by_name(
    epsilon: float, steps: int, beside: tuple[GaussianEvent, ...], name: str
) -> None:
    with pytest.raises(StudyError) as caught:
        noise_multiplier_for(epsilon, 1e-5, Fraction(1, 10), steps, beside=beside)
    assert caught.value.where == name
    assert caught.value.fix or "Expected" in caught.value.what
