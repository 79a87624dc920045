"""One step under every sampling and adjacency agrees with direct integration; many steps stay sound."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom, norm

from common.privacy.accountants import PROGRESS_INTERVAL, epsilon_of, epsilon_pld, epsilon_rdp
from common.privacy.distributions import Kind, Step, one_step, total
from common.privacy.events import GaussianEvent

FINE = 1e-4


def gaussian_epsilon(delta: float, mu: float) -> float:
    """ε of the Gaussian mechanism with sensitivity/σ = mu (Balle and Wang 2018), in closed form."""

    def excess(epsilon: float) -> float:
        upper = norm.cdf(-epsilon / mu + mu / 2)
        return float(upper - math.exp(epsilon) * norm.cdf(-epsilon / mu - mu / 2) - delta)

    return float(brentq(excess, 0, 300))


def mixture(x: np.ndarray, sigma: float, *parts: tuple[float, float]) -> np.ndarray:
    return sum(weight * norm.pdf(x, mean, sigma) for weight, mean in parts)  # type: ignore[return-value]


def divergence(sigma: float, epsilon: float, upper: tuple, lower: tuple) -> float:
    """Hockey-stick divergence of two mixtures of Gaussians, by the trapezium rule."""
    x = np.linspace(-14 * sigma - 3, 14 * sigma + 3, 600_001)
    gap = mixture(x, sigma, *upper) - math.exp(epsilon) * mixture(x, sigma, *lower)
    return float(np.trapezoid(np.maximum(gap, 0), x))


def delta_of(step: Step, epsilon: float) -> float:
    return float(one_step(step, FINE).get_delta_for_epsilon(epsilon))


@pytest.mark.parametrize("epsilon", [0.1, 0.7, 2.0])
@pytest.mark.parametrize(("q", "sigma"), [(0.1, 1.0), (0.3, 0.8), (0.9, 2.0)])
def test_replace_one_step_is_the_integral_over_opposite_units(
    q: float, sigma: float, epsilon: float
) -> None:
    by_hand = divergence(sigma, epsilon, ((1 - q, 0), (q, 1)), ((1 - q, 0), (q, -1)))
    found = delta_of(Step("replace-one", q, sigma), epsilon)
    assert found == pytest.approx(by_hand, rel=1e-4, abs=1e-9)
    assert found >= by_hand * (1 - 1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.5, 2.5, math.pi])
def test_no_other_direction_is_worse_than_the_opposite_one(angle: float) -> None:
    """In two dimensions, by integration: the unit that replaces another points `angle` away from it."""
    q, sigma, epsilon = 0.2, 1.0, 0.4
    axis = np.linspace(-8, 8, 801)
    x, y = np.meshgrid(axis, axis)

    def density(px: float, py: float) -> np.ndarray:
        still = norm.pdf(x, 0, sigma) * norm.pdf(y, 0, sigma)
        moved = norm.pdf(x, px, sigma) * norm.pdf(y, py, sigma)
        return np.asarray((1 - q) * still + q * moved)

    gap = density(1, 0) - math.exp(epsilon) * density(math.cos(angle), math.sin(angle))
    by_hand = float(np.maximum(gap, 0).sum() * (axis[1] - axis[0]) ** 2)
    assert by_hand <= delta_of(Step("replace-one", q, sigma), epsilon) * 1.0001


@pytest.mark.parametrize(("sigma", "steps"), [(4.0, 10), (2.0, 3), (10.0, 50)])
def test_replacing_in_full_batches_is_twice_the_distance(sigma: float, steps: int) -> None:
    events = [GaussianEvent("full", Fraction(1), sigma, 1.0, steps)]
    mu = math.sqrt(steps) / sigma
    replaced = epsilon_pld(events, 1e-5, adjacency="replace-one")
    assert replaced == pytest.approx(gaussian_epsilon(1e-5, 2 * mu), rel=1e-5)
    assert epsilon_pld(events, 1e-5) == pytest.approx(gaussian_epsilon(1e-5, mu), rel=1e-5)


@pytest.mark.parametrize(
    ("q", "sigma", "steps"), [(0.01, 1.0, 1000), (0.1, 2.0, 300), (0.5, 3.0, 40)]
)
def test_replacing_lies_between_removing_and_removing_then_adding(
    q: float, sigma: float, steps: int
) -> None:
    """Group privacy: (ε, δ) twice gives (2ε, (1 + e^ε)δ), whatever the mechanism."""
    removed = epsilon_of(((Step("poisson", q, sigma), steps),), 1e-6, PROGRESS_INTERVAL)
    replaced = epsilon_of(
        ((Step("replace-one", q, sigma), steps),), (1 + math.exp(removed)) * 1e-6, PROGRESS_INTERVAL
    )
    assert replaced <= 2 * removed
    loose = (1 + math.exp(removed)) * 1e-6
    assert replaced > epsilon_of(((Step("poisson", q, sigma), steps),), loose, PROGRESS_INTERVAL)


@pytest.mark.parametrize("epsilon", [-0.6, -0.1, 0.0, 0.2, 1.0])
@pytest.mark.parametrize(("q", "sigma"), [(0.1, 2.0), (0.4, 1.5)])
def test_a_fixed_size_step_is_the_theorem(q: float, sigma: float, epsilon: float) -> None:
    p, other = ((1.0, 2.0),), ((1.0, 0.0),)
    if epsilon >= 0:
        by_hand = divergence(sigma, epsilon, ((q, 2.0), (1 - q, 0.0)), other)
    else:
        by_hand = divergence(sigma, epsilon, p, ((q, 0.0), (1 - q, 2.0)))
    found = delta_of(Step("fixed-size", q, sigma), epsilon)
    assert found == pytest.approx(by_hand, rel=1e-3, abs=1e-9)
    assert found >= by_hand * (1 - 1e-6)


@pytest.mark.parametrize(("q", "sigma", "steps"), [(0.05, 2.0, 200), (0.2, 3.0, 50)])
def test_fixed_size_steps_cost_no_less_than_a_unit_that_opposes_all_others(
    q: float, sigma: float, steps: int
) -> None:
    """The sum is B lower without the unit; with it one other leaves: (1-q)·0 + q·2 against (1-q)·0 + q·1."""
    x = np.linspace(-12 * sigma, 12 * sigma + 2, 40_001)
    cells = [
        np.diff((1 - q) * norm.cdf(x / sigma) + q * norm.cdf((x - far) / sigma)) for far in (2, 1)
    ]
    from dp_accounting.pld import privacy_loss_distribution as pld

    logs = [dict(enumerate(np.log(np.maximum(side, 1e-300)))) for side in cells]
    loss = pld.from_two_probability_mass_functions(
        logs[1], logs[0], pessimistic_estimate=False, value_discretization_interval=1e-3
    )
    least = float(loss.self_compose(steps).get_epsilon_for_delta(1e-5))
    found = epsilon_of(((Step("fixed-size", q, sigma), steps),), 1e-5, PROGRESS_INTERVAL)
    assert 0 < least <= found


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.5])
def test_a_truncated_step_mixes_two_divergences(epsilon: float) -> None:
    units, q, most, sigma = 100, 0.1, 12, 1.0
    cut = binom.sf(most - 1, units - 1, q)
    kept = binom.sf(most, units, q) * most / cut / units
    whole = divergence(sigma, epsilon, ((1 - q, 0), (q, 1)), ((1.0, 0),))
    added = divergence(sigma, epsilon, ((1.0, 0),), ((1 - q, 0), (q, 1)))
    swapped = divergence(
        sigma / 2, epsilon, ((1 - kept, 0), (kept, 1)), ((1 - kept, 0), (kept, -1))
    )
    by_hand = (1 - cut) * max(whole, added) + cut * swapped
    found = delta_of(Step("truncated", q, sigma, units, most), epsilon)
    assert found == pytest.approx(by_hand, rel=1e-3, abs=1e-9)


def test_cutting_batches_costs_the_more_the_more_often_it_happens() -> None:
    def cost(most: int) -> float:
        step = Step("truncated", 0.1, 1.0, 1000, most)
        return epsilon_of(((step, 200),), 1e-5, PROGRESS_INTERVAL)

    poisson = epsilon_of(((Step("poisson", 0.1, 1.0), 200),), 1e-5, PROGRESS_INTERVAL)
    assert cost(1000) == pytest.approx(poisson, rel=1e-6)
    assert cost(110) > cost(120) > cost(140) >= poisson


@pytest.mark.parametrize("kind", ["poisson", "replace-one", "fixed-size"])
def test_a_coarser_grid_never_lowers_the_figure(kind: Kind) -> None:
    parts = ((Step(kind, 0.05, 2.0), 100),)
    fine, coarse = (epsilon_of(parts, 1e-5, grid) for grid in (FINE, 20 * FINE))
    assert fine <= coarse <= 1.01 * fine


def test_losses_smaller_than_the_grid_get_a_finer_one() -> None:
    """q√T·√(e^(1/σ²) - 1) = 0.063: nearly a Gaussian; on the grid asked for, every step would round up."""
    events = [GaussianEvent("poisson", Fraction(1, 1000), 50.0, 1.0, 10_000_000)]
    limit = gaussian_epsilon(1e-5, 1e-3 * math.sqrt(1e7 * math.expm1(1 / 2500)))
    assert limit <= epsilon_pld(events, 1e-5, PROGRESS_INTERVAL) <= 1.02 * limit


def test_more_steps_than_can_be_composed_exactly_get_the_renyi_bound() -> None:
    events = [GaussianEvent("poisson", Fraction(1, 100), 1.0, 1.0, 10**9)]
    assert epsilon_pld(events, 1e-5) == epsilon_rdp(events, 1e-5) > 1000
    assert total(((Step("poisson", 0.01, 1.0), 10**9),), FINE) == (None, True)
