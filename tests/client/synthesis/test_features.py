"""The distance of two sets of features, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from client.synthesis.features import frechet


def test_frechet_distance_of_gaussians_with_known_moments() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(0, 1, (40_000, 3))
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet(one, one + 2.0) == pytest.approx(12.0)
    assert frechet(one, one * 3.0) == pytest.approx(12.0, rel=0.02)
    turned = rng.multivariate_normal([0, 0, 0], [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], 40_000)
    exact = 2 * 3 - 2 * (1 + np.sqrt(1.8) + np.sqrt(0.2))
    assert frechet(one, turned) == pytest.approx(exact, abs=0.02)
