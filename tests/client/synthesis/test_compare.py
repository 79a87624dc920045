"""Likeness and memorisation: sets whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from client.synthesis.compare import compare, nearness
from client.synthesis.features import frechet
from common.errors import DataError

CPU = torch.device("cpu")


def blobs(count: int, seed: int) -> NDArray[np.float32]:
    """Bright squares at random places on a smooth ground."""
    rng = np.random.default_rng(seed)
    images = rng.normal(-0.5, 0.05, (count, 1, 12, 12))
    for image in images:
        row, column = rng.integers(0, 8, 2)
        image[0, row : row + 4, column : column + 4] += rng.uniform(0.5, 1.2)
    return images.astype(np.float32)


def test_frechet_distance_of_gaussians_with_known_moments() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(0, 1, (40_000, 3))
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet(one, one + 2.0) == pytest.approx(12.0)
    assert frechet(one, one * 3.0) == pytest.approx(12.0, rel=0.02)
    turned = rng.multivariate_normal([0, 0, 0], [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], 40_000)
    exact = 2 * 3 - 2 * (1 + np.sqrt(1.8) + np.sqrt(0.2))
    assert frechet(one, turned) == pytest.approx(exact, abs=0.02)


def test_true_images_look_true_and_repeat_nobody() -> None:
    found = compare(blobs(90, 1), blobs(150, 2), blobs(150, 3), seed=1, device=CPU)
    assert found.fid < 0.2 * found.fid_noise
    assert found.fid_real < 0.2 * found.fid_noise
    assert 0.35 < found.nearer_to_training < 0.65
    assert not found.suspicious
    assert not any("warning" in line for line in found.lines())


def test_repeated_patients_are_seen() -> None:
    train, held_out = blobs(200, 2), blobs(150, 3)
    rng = np.random.default_rng(4)
    stolen = train[:80] + rng.normal(0, 0.01, (80, 1, 12, 12)).astype(np.float32)
    found = compare(stolen, train, held_out, seed=1, device=CPU)
    assert found.suspicious
    assert found.copies == 80
    assert found.p_value < 0.01
    assert "warning" in found.lines()[-1]


def test_both_sides_have_equally_many_images() -> None:
    """A larger training set would be nearer by its size alone."""
    drawn, train, held_out = blobs(200, 5), blobs(900, 6), blobs(90, 7)
    nearer, distances = nearness(drawn, train, held_out, np.random.default_rng(0))
    assert 0.35 < nearer / 200 < 0.65
    assert distances.shape == (200,)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="needs 30"):
        compare(blobs(10, 1), blobs(50, 2), blobs(50, 3), seed=1, device=CPU)
