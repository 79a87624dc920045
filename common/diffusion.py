"""Denoising diffusion: how noise is put onto images, and how a network that sees through noise draws new ones.

An image x at time u in [0, 1] is z = αx + σε with α = cos(πu/2), σ = sin(πu/2) and Gaussian noise ε: all image at 0,
all noise at 1 (Nichol and Dhariwal 2021). The network is asked for v = αε − σx (Salimans and Ho 2022), from which
both follow: x = αz − σv and ε = σz + αv. Images are drawn by the deterministic sampler of Song et al. (2021, DDIM).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch

Denoiser = Callable[[torch.Tensor], torch.Tensor]
"""From conditioned images `[B, C + 2, H, W]` (see `conditioned`) to their v, `[B, C, H, W]`."""

CLASS_FREE = 0
"""Class number of images of which no class is known; class c of the study is c + 1."""
RANGE = 1.0
"""Prepared images lie in [−1, 1]."""


def mixed(
    images: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return noisy images z and what the network is to say of them, v; both `[B, C, H, W]`.

    Args:
        images: `[B, C, H, W]`.
        noise: standard normals of the same shape.
        times: `[B]`.
    """
    alpha, sigma = levels(times, images.ndim)
    return alpha * images + sigma * noise, alpha * noise - sigma * images


def levels(times: torch.Tensor, dimensions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return α and σ of times `[B]`, with as many dimensions as asked for."""
    angle = (times * (math.pi / 2)).reshape(-1, *[1] * (dimensions - 1))
    return angle.cos(), angle.sin()


def conditioned(noisy: torch.Tensor, times: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return what the network sees: the noisy image, and its time and class number as two constant channels.

    Args:
        noisy: `[B, C, H, W]`.
        times: `[B]`.
        classes: `[B]`, `CLASS_FREE` or the class's number from 1.
    """
    shape = (len(noisy), 1, *noisy.shape[2:])
    told = (times.to(noisy), classes.to(noisy))
    return torch.cat([noisy, *(each.reshape(-1, 1, 1, 1).expand(shape) for each in told)], 1)


def drawn(
    denoiser: Denoiser, noise: torch.Tensor, classes: torch.Tensor, steps: int
) -> torch.Tensor:
    """Return new images `[B, C, H, W]` in [−1, 1].

    Args:
        denoiser: the trained network.
        noise: standard normals; each image follows from its own.
        classes: `[B]`, as in `conditioned`.
        steps: times that the network is asked, from all noise to none.
    """
    # The very ends ask for nothing: at 1 there is no image left, at 0 no noise.
    times = torch.linspace(1.0, 0.0, steps + 1)
    state = noise
    for now, later in itertools.pairwise(times):
        at = now.expand(len(noise)).to(noise)
        v = denoiser(conditioned(state, at, classes))
        (alpha, sigma), (alpha_later, sigma_later) = levels(now, 1), levels(later, 1)
        image = (alpha.item() * state - sigma.item() * v).clamp(-RANGE, RANGE)
        residue = (state - alpha.item() * image) / max(sigma.item(), 1e-6)
        state = alpha_later.item() * image + sigma_later.item() * residue
    return state.clamp(-RANGE, RANGE)
