"""The alarm: false as often as it says, and true for leaks that no certificate reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest

from simulations.attack.alarm import FALSE_ALARM, moments, separation

CANARIES = 1000


def scores(mu: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    inside = random.random(CANARIES) < 0.5
    return random.normal(size=CANARIES) + mu * inside, inside


@pytest.mark.parametrize("mu", [0.2, 0.8, 2.5])
def test_the_p_value_of_an_honest_mechanism_is_uniform(mu: float) -> None:
    random = np.random.default_rng(1)
    found = [separation(*scores(mu, random), mu).p_value for _ in range(600)]
    assert kstest(found, "uniform").pvalue > 1e-4
    assert min(found) > FALSE_ALARM


@pytest.mark.parametrize(("share", "alarm"), [(0.5, True), (0.65, True), (0.95, False)])
def test_too_little_noise_is_noticed(share: float, alarm: bool) -> None:
    found = separation(*scores(0.8 / share, np.random.default_rng(2)), 0.8)
    assert found.mu == pytest.approx(0.8 / share, abs=0.25)
    assert found.alarm == alarm


def test_no_noise_at_all_is_infinite() -> None:
    inside = np.arange(CANARIES) % 2 == 0
    assert separation(10.0 * inside, inside, 0.8) == separation(inside * 3.0, inside, 0.8)
    assert math.isinf(separation(10.0 * inside, inside, 0.8).mu)
    almost = 10.0 * inside + np.random.default_rng(1).normal(size=CANARIES) * 1e-6
    assert separation(almost, inside, 0.8).alarm


def drawn(
    rate: float, sigma: float, steps: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    inside = random.random(CANARIES) < 0.5
    taken = random.binomial(steps, rate, CANARIES) * inside
    return taken + random.normal(size=CANARIES) * sigma * math.sqrt(steps), inside


def test_the_moments_of_an_honest_subsampled_mechanism_pass() -> None:
    random = np.random.default_rng(3)
    found = [moments(*drawn(0.1, 1.5, 100, random), 0.1, 1.5, 100) for _ in range(500)]
    assert min(m.p_value for m in found) > 1e-5
    assert np.mean([m.noise for m in found]) == pytest.approx(1, abs=0.01)
    assert np.mean([m.share for m in found]) == pytest.approx(1, abs=0.02)


def test_less_noise_and_a_higher_rate_show_in_the_moments() -> None:
    random = np.random.default_rng(4)
    assert moments(*drawn(0.1, 1.2, 100, random), 0.1, 1.5, 100).alarm
    assert moments(*drawn(0.2, 1.5, 100, random), 0.1, 1.5, 100).alarm
    assert not moments(*drawn(0.1, 1.6, 100, random), 0.1, 1.5, 100).alarm, "more noise is no leak"
