"""Steps and q: the largest that keep the promise, and not one more."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.privacy.accountants import epsilon_pld
from common.privacy.events import GaussianEvent
from common.privacy.headroom import _climb, sampling_rate_for, steps_for

BESIDE = (GaussianEvent("full", Fraction(1), 20.0, 1.0, 3),)


def cost(q: Fraction, sigma: float, steps: int, delta: float, beside: tuple = ()) -> float:
    sampler = "full" if q == 1 else "poisson"
    return epsilon_pld([GaussianEvent(sampler, q, sigma, 1.0, steps), *beside], delta)


@pytest.mark.parametrize(
    ("epsilon", "q", "sigma", "beside"),
    [
        (2.0, Fraction(1, 100), 1.0, ()),
        (8.0, Fraction(1, 5), 1.4, ()),
        (3.0, Fraction(1), 6.0, ()),
        (1.0, Fraction(1, 8), 2.0, BESIDE),
        (0.01, Fraction(1, 4), 0.5, ()),
    ],
)
def test_one_more_step_would_be_too_much(
    epsilon: float, q: Fraction, sigma: float, beside: tuple[GaussianEvent, ...]
) -> None:
    steps = steps_for(epsilon, 1e-4, q, sigma, beside=beside)
    assert steps == 0 or cost(q, sigma, steps, 1e-4, beside) <= epsilon
    assert cost(q, sigma, steps + 1, 1e-4, beside) > epsilon


def test_no_more_steps_than_asked_for() -> None:
    assert steps_for(5.0, 1e-5, Fraction(1, 1000), 5.0, most=77) == 77


@pytest.mark.parametrize(
    ("epsilon", "sigma", "steps", "beside"),
    [(2.0, 1.0, 1000, ()), (8.0, 1.4, 200, ()), (1.5, 2.0, 50, BESIDE)],
)
def test_a_higher_rate_would_be_too_much(
    epsilon: float, sigma: float, steps: int, beside: tuple[GaussianEvent, ...]
) -> None:
    q = sampling_rate_for(epsilon, 1e-4, sigma, steps, beside=beside, denominator=1000)
    assert isinstance(q, Fraction)
    assert 1000 % q.denominator == 0
    assert cost(q, sigma, steps, 1e-4, beside) <= epsilon
    assert cost(q + Fraction(1, 1000), sigma, steps, 1e-4, beside) > epsilon


def test_enough_noise_allows_full_batches() -> None:
    assert sampling_rate_for(8.0, 1e-4, 50.0, 10) == 1


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_the_search_finds_the_edge_from_anywhere(edge: int, start: int, high: int) -> None:
    start = min(start, high)
    found = _climb(lambda n: n <= edge, 0, high, start)
    assert found == min(edge, high)


@pytest.mark.parametrize(
    ("search", "where"),
    [
        (lambda: steps_for(0.0, 1e-5, Fraction(1, 10), 1.0), "epsilon"),
        (lambda: steps_for(math.nan, 1e-5, Fraction(1, 10), 1.0), "epsilon"),
        (lambda: steps_for(0.1, 1e-5, Fraction(1, 10), 1.0, beside=BESIDE), "epsilon"),
        (lambda: steps_for(1.0, 1e-5, Fraction(1, 10), -1.0), "noise_multiplier"),
        (lambda: sampling_rate_for(1.0, 1e-5, 1.0, 0), "steps"),
        (lambda: sampling_rate_for(0.001, 1e-5, 0.3, 10_000), "sampling_rate"),
    ],
)
def test_the_impossible_is_refused_by_name(search, where: str) -> None:
    with pytest.raises(StudyError) as caught:
        search()
    assert caught.value.where == where
