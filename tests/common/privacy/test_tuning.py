"""The price of keeping the best of several runs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from common.errors import StudyError
from common.privacy.accountants import epsilon_pld
from common.privacy.events import GaussianEvent, UnprotectedEvent
from common.privacy.renyi import renyi
from common.privacy.tuning import tuning_epsilon

RUN = [GaussianEvent("poisson", Fraction(1, 100), 1.0, 1.0, 1000)]


def test_best_of_ten() -> None:
    found = tuning_epsilon(RUN, 1e-5, 10)
    assert found.single == pytest.approx(2.10, rel=0.005)
    assert found.epsilon == pytest.approx(4.10, rel=0.005)
    assert "Papernot and Steinke" in found.theorem


def test_the_theorem_by_hand() -> None:
    """Papernot and Steinke 2022, Theorem 2, geometric (η = 1, γ = 1/m): ε'(λ) = ε(λ) + 2·min over λ̂ + log(m)/(λ-1)."""
    runs, delta = 7, 1e-5
    accountant = renyi([(0.01, 1.0, 1000)])
    orders, rdp = np.asarray(accountant.orders), np.asarray(accountant.rdp)
    choosing = 2 * np.min((1 - 1 / orders) * rdp + math.log(runs) / orders)
    best = rdp + choosing + math.log(runs) / (orders - 1)
    converted = best + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)
    assert tuning_epsilon(RUN, delta, runs).epsilon == pytest.approx(converted.min(), rel=1e-3)


def test_one_run_costs_itself_and_more_runs_cost_more() -> None:
    costs = [tuning_epsilon(RUN, 1e-5, runs).epsilon for runs in (1, 2, 10, 100)]
    assert costs[0] == tuning_epsilon(RUN, 1e-5, 1).single
    assert costs == sorted(costs)
    assert costs[3] > costs[2] > costs[1] > costs[0]


def test_a_number_of_runs_set_in_advance_is_composition() -> None:
    found = tuning_epsilon(RUN, 1e-5, 3, "fixed")
    assert found.epsilon == epsilon_pld([RUN[0].with_steps(3000)], 1e-5)
    assert found.single == epsilon_pld(RUN, 1e-5)


@pytest.mark.parametrize("distribution", ["geometric", "logarithmic", "poisson"])
def test_every_distribution_costs_less_than_composing_ten_runs(distribution) -> None:
    composed = tuning_epsilon(RUN, 1e-5, 10, "fixed").epsilon
    assert (
        tuning_epsilon(RUN, 1e-5, 10).single
        < tuning_epsilon(RUN, 1e-5, 10, distribution).epsilon
        < composed
    )


def test_no_price_hides_a_release_without_noise() -> None:
    assert tuning_epsilon([UnprotectedEvent("weights", 1)], 1e-5, 2).epsilon == math.inf
    with pytest.raises(StudyError, match="runs"):
        tuning_epsilon(RUN, 1e-5, 0)
