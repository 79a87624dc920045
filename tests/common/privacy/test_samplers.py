"""Stated runs: every way of sampling by its own theorem, and shuffling never below what it leaks."""

from __future__ import annotations

import math
from fractions import Fraction

import dp_accounting
import numpy as np
import pytest
from dp_accounting.dp_event import (
    SampledWithoutReplacementDpEvent,
    TruncatedSubsampledGaussianDpEvent,
)
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.privacy.accountants import epsilon_pld
from common.privacy.events import GaussianEvent
from common.privacy.runs import StatedRun
from common.privacy.samplers import REPLACED, ZEROED, account, as_if_poisson
from common.privacy.shuffling import shuffled_at_least


def full(sigma: float, steps: int) -> float:
    return epsilon_pld([GaussianEvent("full", Fraction(1), sigma, 1.0, steps)], 1e-5)


def test_poisson_is_what_the_ledger_would_say() -> None:
    run = StatedRun("poisson", Fraction(1, 50), 1.2, 400, 1e-5)
    found, event = account(run), GaussianEvent("poisson", Fraction(1, 50), 1.2, 1.0, 400)
    assert found.pld == epsilon_pld([event], 1e-5) == as_if_poisson(run)
    assert found.replace_one == epsilon_pld([event], 1e-5, adjacency="replace-one")
    assert found.adjacency == "add/remove one unit"
    assert found.missing == {}


def test_shuffled_batches_cost_one_full_batch_an_epoch() -> None:
    """A plausible run: 10 epochs of 100 batches at σ = 1, published as 1.83 and provably above 9."""
    run = StatedRun("shuffled", Fraction(1, 100), 1.0, 1000, 1e-5)
    found = account(run)
    assert found.pld == full(1.0, 10)
    assert found.adjacency == ZEROED
    assert as_if_poisson(run) == pytest.approx(1.83, abs=0.01)
    assert found.at_least is not None
    assert 9 < found.at_least < found.pld < 18


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (100, 1), (101, 2), (950, 10)])
def test_a_begun_epoch_counts(steps: int, epochs: int) -> None:
    run = StatedRun("shuffled", Fraction(1, 100), 2.0, steps, 1e-5)
    assert run.epochs == epochs
    assert account(run).pld == full(2.0, epochs)


def test_one_batch_an_epoch_is_a_gaussian_and_the_lower_bound_meets_it() -> None:
    assert shuffled_at_least(4.0, 1, 10, 1e-5) == pytest.approx(full(4.0, 10), rel=5e-3)
    assert shuffled_at_least(4.0, 1, 10, 1e-5) <= full(4.0, 10)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([0.3, 0.8, 2.0]), st.sampled_from([1, 7, 100]), st.integers(1, 20))
def test_the_lower_bound_stays_below_the_upper_one(sigma: float, batches: int, epochs: int) -> None:
    assert shuffled_at_least(sigma, batches, epochs, 1e-5) <= full(sigma, epochs)


def test_the_lower_bound_is_what_a_simulated_observer_sees() -> None:
    """One epoch of 20 batches: the observer looks at the largest of the noisy sums."""
    sigma, batches, draws, delta = 1.0, 20, 400_000, 0.02
    generator = np.random.default_rng(11)
    noise = generator.normal(0, sigma, (2, draws, batches))
    noise[0, :, 0] += 2
    noise[1, :, 0] += 1
    present, absent = noise.max(2)
    epsilon = shuffled_at_least(sigma, batches, 1, delta)
    seen = max(
        float((present > cut).mean() - math.exp(epsilon) * (absent > cut).mean())
        for cut in np.linspace(1, 5, 41)
    )
    assert seen == pytest.approx(delta, rel=0.05)


def test_fixed_size_batches_are_for_replaced_units() -> None:
    run = StatedRun("fixed", Fraction(1, 50), 2.0, 500, 1e-5)
    found = account(run)
    event = SampledWithoutReplacementDpEvent(50, 1, dp_accounting.GaussianDpEvent(1.0))
    replace = dp_accounting.NeighboringRelation.REPLACE_ONE
    by_hand = RdpAccountant(neighboring_relation=replace).compose(event, 500).get_epsilon(1e-5)
    assert found.rdp == pytest.approx(by_hand, rel=1e-6)
    assert found.pld is not None
    assert as_if_poisson(run) < found.pld < by_hand
    assert found.adjacency == REPLACED
    assert "prv" in found.missing


def test_cut_poisson_batches_are_those_of_dp_accounting() -> None:
    run = StatedRun("poisson", Fraction(1, 10), 1.0, 200, 1e-5, units=1000, most=120)
    event = TruncatedSubsampledGaussianDpEvent(1000, 0.1, 120, 1.0)
    by_hand = PLDAccountant().compose(event, 200).get_epsilon(1e-5)
    found = account(run)
    assert found.pld == pytest.approx(by_hand, rel=1e-6)
    assert found.missing.keys() == {"prv", "rdp"}
    assert as_if_poisson(run) < by_hand


@pytest.mark.parametrize("batches", ["poisson", "shuffled", "fixed"])
def test_a_full_batch_is_the_same_however_it_is_drawn(batches) -> None:
    run = StatedRun(batches, Fraction(1), 5.0, 10, 1e-5)
    assert account(run).pld == pytest.approx(full(5.0, 10), rel=1e-6)


def test_hopeless_noise_is_told_and_not_infinite_work() -> None:
    found = account(StatedRun("shuffled", Fraction(1, 100), 1e-3, 1000, 1e-5))
    assert found.pld is None
    assert found.epsilon == found.rdp > 1e6
    assert "grid" in found.missing["pld"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"noise_multiplier": 0.0}, "sigma"),
        ({"noise_multiplier": -1.0}, "sigma"),
        ({"noise_multiplier": math.nan}, "sigma"),
        ({"rate": Fraction(3, 2)}, "q"),
        ({"rate": Fraction(0)}, "q"),
        ({"steps": 0}, "steps"),
        ({"steps": 10**40}, "steps"),
        ({"delta": 1.0}, "delta"),
        ({"delta": 0.0}, "delta"),
        ({"batches": "random"}, "sampler"),
        ({"most": 5}, "max-batch"),
        ({"units": 0}, "n"),
    ],
)
def test_nonsense_is_refused_by_name(change: dict, where: str) -> None:
    values = {
        "batches": "poisson",
        "rate": Fraction(1, 10),
        "noise_multiplier": 1.0,
        "steps": 5,
        "delta": 1e-5,
    }
    with pytest.raises(StudyError) as caught:
        StatedRun(**{**values, **change})
    assert caught.value.where == where
    assert len(str(caught.value)) < 200
