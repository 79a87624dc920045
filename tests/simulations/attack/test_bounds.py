"""The certificates: valid against mechanisms whose ε is known, and as tight as the papers say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.privacy.accountants import epsilon_pld
from common.privacy.events import GaussianEvent
from simulations.attack.bounds import (
    Guesses,
    approximate,
    approximate_bound,
    epsilon_of,
    gaussian,
    gaussian_bound,
    rejects,
    steinke,
    steinke_p_value,
)

SIGNIFICANCE = 0.05
DELTA = 1e-5
AUDITS = 400


def guessed(mu: float, canaries: int, guesses: int, random: np.random.Generator) -> Guesses:
    """Attack a Gaussian mechanism: guess the lowest scores out and the highest in."""
    inside = random.random(canaries) < 0.5
    order = np.argsort(random.normal(size=canaries) + mu * inside)
    half = guesses // 2
    correct = (~inside[order[:half]]).sum() + inside[order[canaries - half :]].sum()
    return Guesses(canaries, guesses, int(correct))


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
@pytest.mark.parametrize(("canaries", "guesses"), [(200, 40), (1000, 200), (1000, 1000)])
def test_certificates_exceed_the_truth_in_at_most_one_audit_in_twenty(
    mu: float, canaries: int, guesses: int
) -> None:
    random, truth = np.random.default_rng(1), epsilon_of(mu, DELTA)
    f_dp = too_high = steinke_too_high = 0
    for _ in range(AUDITS):
        found = guessed(mu, canaries, guesses, random)
        f_dp += rejects(found, gaussian(mu), SIGNIFICANCE)
        too_high += rejects(found, approximate(truth, DELTA), SIGNIFICANCE)
        steinke_too_high += steinke_p_value(found, truth, DELTA) <= SIGNIFICANCE
    allowed = 0.05 * AUDITS + 3 * math.sqrt(0.05 * 0.95 * AUDITS)
    assert max(f_dp, too_high, steinke_too_high) <= allowed


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_steinkes_bound_is_tight_and_valid_for_randomised_response(epsilon: float) -> None:
    """Of all ε-DP mechanisms this one gives away the most: the p-value is then uniform."""
    random, rate = np.random.default_rng(2), 1 / (1 + math.exp(-epsilon))
    answers = random.binomial(1000, rate, 2000)
    found = [Guesses(1000, 1000, int(v)) for v in answers]
    refuted = np.mean([steinke_p_value(g, epsilon, 0.0) <= SIGNIFICANCE for g in found])
    assert 0.025 <= refuted <= 0.065
    curve = approximate(epsilon, 0.0)
    assert np.mean([rejects(g, curve, SIGNIFICANCE) for g in found]) <= 0.065


def test_a_mechanism_that_reveals_all_is_bounded_by_the_number_of_canaries() -> None:
    found = Guesses(2000, 2000, 2000)
    exact = -math.log(0.05 ** (-1 / 2000) - 1)
    assert steinke(found, 0.0, SIGNIFICANCE) == pytest.approx(exact, rel=1e-6)
    assert steinke(found, DELTA, SIGNIFICANCE) <= exact
    assert exact == pytest.approx(math.log(2000 / 3), abs=0.01)


def test_the_figures_that_were_measured_before() -> None:
    """2,000 canaries, q 1, σ 4, 10 steps, δ 1e-5: claimed ε 3.34; then with half the noise, then with none."""
    random, mu = np.random.default_rng(3), math.sqrt(10) / 4
    claimed = epsilon_pld([GaussianEvent("full", _one(), 4.0, 1.0, 10)], DELTA)
    assert claimed == pytest.approx(3.34, abs=0.01)
    assert epsilon_of(mu, DELTA) == pytest.approx(claimed, rel=1e-3)
    found = [[_both(guessed(m, 2000, 400, random)) for _ in range(10)] for m in (mu, 2 * mu, 1e6)]
    honest, halved, off = (np.mean(rows, axis=0) for rows in found)
    assert honest == pytest.approx([1.8, 1.2], abs=0.3)
    assert halved[0] > claimed > halved[1], "half the noise: only the f-DP bound finds it"
    assert off[0] > off[1] > claimed


def _one() -> object:
    from fractions import Fraction

    return Fraction(1)


def _both(found: Guesses) -> list[float]:
    return [
        epsilon_of(gaussian_bound(found, SIGNIFICANCE), DELTA),
        steinke(found, DELTA, SIGNIFICANCE),
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), st.data())
def test_more_right_guesses_prove_more(guesses: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, guesses - 1))
    canaries = data.draw(st.integers(guesses, 3 * guesses))
    fewer, more = Guesses(canaries, guesses, correct), Guesses(canaries, guesses, correct + 1)
    assert gaussian_bound(fewer, SIGNIFICANCE) <= gaussian_bound(more, SIGNIFICANCE) + 1e-9
    assert steinke(fewer, DELTA, SIGNIFICANCE) <= steinke(more, DELTA, SIGNIFICANCE) + 1e-9


@given(st.integers(2, 300), st.data())
@settings(max_examples=40, deadline=None)
def test_a_refuted_claim_stays_refuted_for_every_smaller_one(
    guesses: int, data: st.DataObject
) -> None:
    found = Guesses(2 * guesses, guesses, data.draw(st.integers(0, guesses)))
    bound = gaussian_bound(found, SIGNIFICANCE)
    for share in (0.2, 0.5, 0.9):
        if bound > 0:
            assert rejects(found, gaussian(share * bound), SIGNIFICANCE)
    assert not rejects(found, gaussian(bound + 0.01), SIGNIFICANCE)


def test_guessing_proves_nothing() -> None:
    found = Guesses(1000, 200, 100)
    assert gaussian_bound(found, SIGNIFICANCE) == 0.0
    assert steinke(found, DELTA, SIGNIFICANCE) == 0.0
    assert approximate_bound(found, DELTA, SIGNIFICANCE) == 0.0


@given(st.floats(0.05, 4.0), st.sampled_from([1e-3, 1e-5, 1e-8]))
@settings(max_examples=25, deadline=None)
def test_epsilon_of_a_gaussian_is_the_accountants(mu: float, delta: float) -> None:
    record = epsilon_pld([GaussianEvent("full", _one(), 1 / mu, 1.0, 1)], delta)
    assert epsilon_of(mu, delta) == pytest.approx(record, rel=2e-3, abs=2e-3)


@given(st.floats(0.0, 5.0), st.floats(1e-9, 0.2), st.floats(0.0, 1.0))
def test_trade_offs_are_their_own_inverse_and_below_guessing(
    epsilon: float, delta: float, alpha: float
) -> None:
    for curve in (approximate(epsilon, delta), gaussian(epsilon)):
        beta = curve(alpha)
        assert -1e-12 <= beta <= 1 - alpha + 1e-9
        assert curve(beta) <= alpha + 1e-9
