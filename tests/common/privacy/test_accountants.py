"""ε agrees with dp-accounting run by hand, with published vectors, and with itself."""

from __future__ import annotations

import json
import logging
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.privacy.accountants import (
    PROGRESS_INTERVAL,
    epsilon,
    epsilon_pld,
    epsilon_prv,
    epsilon_rdp,
    segments,
)
from common.privacy.events import GaussianEvent, UnprotectedEvent

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "accounting.json"


def poisson(q: Fraction | str, sigma: float, steps: int) -> GaussianEvent:
    return GaussianEvent("poisson", Fraction(q), sigma, 1.0, steps)


def vectors() -> list[Any]:
    cases = json.loads(VECTORS.read_text())["cases"] if VECTORS.exists() else []
    return [pytest.param(case, id=case["name"]) for case in cases]


def by_hand(accountant: Any, events: list[GaussianEvent], delta: float) -> float:
    for event in events:
        gaussian = dp_accounting.GaussianDpEvent(event.noise_multiplier)
        sampled = dp_accounting.PoissonSampledDpEvent(float(event.sampling_rate), gaussian)
        accountant.compose(sampled, event.steps)
    return float(accountant.get_epsilon(delta))


@pytest.mark.skipif(not VECTORS.exists(), reason="reference vectors are not there")
@pytest.mark.parametrize("case", vectors())
def test_reference_vectors(case: dict[str, Any]) -> None:
    events = [
        poisson(Fraction(part["q"]).limit_denominator(10**6), part["sigma"], part["steps"])
        for part in case["segments"]
    ]
    pld = epsilon_pld(events, case["delta"])
    assert (case["sampler"], case["adjacency"]) == ("poisson", "add/remove one unit")
    assert pld == pytest.approx(case["pld_1e-4"], rel=1e-3, abs=5e-6)
    assert epsilon_rdp(events, case["delta"]) == pytest.approx(case["rdp"], rel=1e-3)
    prv, reason = epsilon_prv(events, case["delta"])
    assert reason if prv is None else pld <= prv <= pld + 0.05


# Checked by hand against dp-accounting 0.6.0 and kept here: q, σ and steps of every segment, δ, ε by PLD and by RDP.
CHECKED = [
    ([("1/100", 1.0, 10_000)], 1e-5, 6.18774, 6.71276),
    ([("1", 4.0, 10)], 1e-5, 3.34141, 3.6171),
    ([("1/10", 2.0, 300), ("1/10", 1.0, 50)], 1e-4, 5.71794, 6.47813),
    ([("1/100", 1.0, 2000), ("1/20", 2.0, 400), ("1/5", 4.0, 300)], 1e-5, 5.43417, 5.88739),
    ([("1/1000", 3.0, 10)], 1e-6, 0.00356, 0.14004),
    ([("1/2", 0.5, 200)], 1e-4, 217.66963, 400.64186),
]


@pytest.mark.parametrize(("parts", "delta", "pld", "rdp"), CHECKED)
def test_checked_figures(
    parts: list[tuple[str, float, int]], delta: float, pld: float, rdp: float
) -> None:
    events = [poisson(*part) for part in parts]
    found = epsilon(events, delta)
    assert found.pld == pytest.approx(pld, rel=1e-3, abs=5e-6)
    assert found.rdp == pytest.approx(rdp, rel=1e-3)
    assert found.prv is None or found.pld <= found.prv <= found.pld + 0.05


def test_a_hand_computation() -> None:
    events = [poisson("1/8", 1.1, 60), poisson("1/20", 0.9, 30), poisson("1", 9.0, 4)]
    assert epsilon_pld(events, 1e-3) == pytest.approx(by_hand(PLDAccountant(), events, 1e-3), 1e-6)
    assert epsilon_rdp(events, 1e-3) == pytest.approx(by_hand(RdpAccountant(), events, 1e-3), 1e-6)


def test_three_accountants_agree() -> None:
    found = epsilon([poisson("1/8", 1.1, 60), poisson("1/20", 0.9, 30)], 1e-3)
    assert found.prv is not None
    assert found.pld < found.prv < found.pld + 0.03  # Opacus adds its error allowance
    assert found.pld < found.rdp < 1.4 * found.pld


def test_nothing_costs_nothing() -> None:
    for events in ([], [poisson("1/8", 1.0, 0)], [UnprotectedEvent("weights", 0)]):
        found = epsilon(events, 1e-5)
        assert (found.pld, found.prv, found.rdp) == (0.0, 0.0, 0.0)


def test_what_leaves_without_noise_is_infinite_unless_declared_public() -> None:
    private = poisson("1/8", 1.1, 6)
    found = epsilon([private, UnprotectedEvent("weights", 1)], 1e-3)
    assert (found.pld, found.prv, found.rdp) == (math.inf, math.inf, math.inf)
    public = UnprotectedEvent("counts", 1, declared_public=True)
    assert epsilon_pld([private, public], 1e-3) == epsilon_pld([private], 1e-3) > 0


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
    st.sampled_from(["1/10", "1/3", "1"]),
    st.sampled_from([1.0, 2.5]),
)
def test_a_split_into_rounds_changes_nothing(rounds: list[int], q: str, sigma: float) -> None:
    whole = epsilon_pld([poisson(q, sigma, sum(rounds))], 1e-4, PROGRESS_INTERVAL)
    parts = epsilon_pld([poisson(q, sigma, n) for n in rounds], 1e-4, PROGRESS_INTERVAL)
    assert parts == pytest.approx(whole, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.sampled_from(["1/10", "1/3"]), st.sampled_from([0.8, 1.7]))
def test_more_steps_more_rate_and_less_noise_cost_more(steps: int, q: str, sigma: float) -> None:
    def cost(rate: Fraction, noise: float, n: int) -> float:
        return epsilon_pld([poisson(rate, noise, n)], 1e-4, PROGRESS_INTERVAL)

    rate, here = Fraction(q), cost(Fraction(q), sigma, steps)
    assert cost(rate, sigma, steps + 1) > here
    assert cost(rate * 2, sigma, steps) > here
    assert cost(rate, sigma * 0.9, steps) > here


def test_full_batches_of_unequal_noise_are_one_gaussian() -> None:
    full = [GaussianEvent("full", Fraction(1), sigma, 1.0, n) for sigma, n in ((4, 3), (7, 5))]
    ((q, sigma, steps),) = segments(full)
    assert (q, steps) == (1.0, 1)
    assert 1 / sigma**2 == pytest.approx(3 / 16 + 5 / 49)
    assert epsilon_pld(full, 1e-5) == pytest.approx(by_hand(PLDAccountant(), full, 1e-5), 1e-6)


def test_a_coarser_grid_never_lowers_the_figure() -> None:
    events = [poisson("1/100", 1.0, 2000)]
    fine, coarse = (epsilon_pld(events, 1e-5, step) for step in (1e-4, 1e-3))
    assert fine <= coarse <= 1.005 * fine


def test_hopeless_noise_is_finite_work() -> None:
    assert 6000 < epsilon_pld([poisson("1/2", 0.1, 200)], 1e-5) < 10_000
    assert epsilon_pld([poisson("1/100", 1e-4, 10)], 1e-5) == math.inf
    figure, reason = epsilon_prv([poisson("1/2", 0.1, 200)], 1e-5)
    assert figure is None
    assert "grid points" in reason


def test_accountants_keep_quiet(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with caplog.at_level(logging.WARNING):
        epsilon([poisson("3/10", 0.81, 7)], 1e-4)
    assert not caplog.records
    assert not recwarn.list


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan])
def test_delta_must_be_a_probability(delta: float) -> None:
    for account in (epsilon_pld, epsilon_rdp, epsilon_prv):
        with pytest.raises(StudyError, match="delta"):
            account([poisson("1/8", 1.0, 1)], delta)
