"""Noise on images and back: what is known of the Gaussian case, and a sampler that finds what the network knows."""

from __future__ import annotations

import math

import pytest
import torch

from common import diffusion


def test_image_and_noise_follow_from_what_is_asked() -> None:
    draw = torch.Generator().manual_seed(0)
    images, noise = torch.randn((2, 5, 1, 4, 4), generator=draw)
    times = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    noisy, v = diffusion.mixed(images, noise, times)
    alpha, sigma = diffusion.levels(times, 4)
    torch.testing.assert_close(alpha * noisy - sigma * v, images)
    torch.testing.assert_close(sigma * noisy + alpha * v, noise)
    torch.testing.assert_close(noisy[0], images[0])
    torch.testing.assert_close(noisy[4], noise[4])


def test_the_network_is_told_time_and_class() -> None:
    told = diffusion.conditioned(
        torch.zeros(2, 3, 4, 4), torch.tensor([0.25, 0.5]), torch.tensor([0, 2])
    )
    assert told.shape == (2, 5, 4, 4)
    assert told[:, 3].unique().tolist() == [0.25, 0.5]
    assert told[:, 4].unique().tolist() == [0.0, 2.0]


def test_the_best_network_for_gaussian_pixels_draws_them() -> None:
    """For pixels N(mean, spread²) the best answer is known, and the sampler must lead to that distribution."""
    mean, spread = 0.2, 0.1

    def best(seen: torch.Tensor) -> torch.Tensor:
        noisy, time = seen[:, :1], seen[0, 1, 0, 0]
        alpha, sigma = math.cos(time * math.pi / 2), math.sin(time * math.pi / 2)
        share = alpha * spread**2 / (alpha**2 * spread**2 + sigma**2)
        image = mean + share * (noisy - alpha * mean)
        return (alpha * noisy - image) / sigma

    noise = torch.randn((40, 1, 16, 16), generator=torch.Generator().manual_seed(1))
    made = diffusion.drawn(best, noise, torch.zeros(40, dtype=torch.int64), steps=100)
    assert float(made.mean()) == pytest.approx(mean, abs=0.005)
    assert float(made.std()) == pytest.approx(spread, rel=0.06)
    alone = diffusion.drawn(best, noise[7:8], torch.zeros(1, dtype=torch.int64), steps=100)
    torch.testing.assert_close(alone[0], made[7])
