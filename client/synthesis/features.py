"""Features of images, and how far two sets of images are apart by them.

The Fréchet inception distance (Heusel et al. 2017) compares means and covariances of what a large network, trained
elsewhere on everyday photographs, says of two sets. Here a small network is trained on the house's own training images
to tell what was done to them: nothing, blurring, noise, tiles exchanged, a grey scale bent. What it looks at is what
drawn images get wrong. Its figures can be compared with each other, and not with figures of other networks.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
WIDTH = 24
"""Features of an image."""
STEPS, SHARE, RATE = 200, 12, 3e-3


class Features(nn.Module):
    """A small convolutional network: `[B, C, H, W]` to `[B, WIDTH]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 16, 24, WIDTH)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.SiLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features: means over the image."""
        result: torch.Tensor = self.layers(images).mean((2, 3))
        return result


def trained_features(images: Images, *, seed: int, device: torch.device) -> Features:
    """Return a network that was trained on images `[N, C, H, W]`; the same seed gives the same network."""
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Features(images.shape[1])
        head = nn.Linear(WIDTH, len(CHANGES))
    network, head = network.to(device), head.to(device)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=RATE)
    everything = torch.from_numpy(images)
    kind = torch.arange(len(CHANGES)).repeat_interleave(SHARE)
    for _ in range(STEPS):
        batch = everything[torch.randint(len(everything), (SHARE * len(CHANGES),), generator=draw)]
        parts = zip(CHANGES, batch.split(SHARE), strict=True)
        changed = torch.cat([change(part, draw) for change, part in parts])
        loss = functional.cross_entropy(head(network(changed.to(device))), kind.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def features_of(network: Features, images: Images, device: torch.device) -> Floats:
    """Return the features of images, `[N, WIDTH]`."""
    with torch.inference_mode():
        parts = torch.from_numpy(images).split(256)
        found = torch.cat([network(part.to(device)).double().cpu() for part in parts])
    return found.numpy()


def frechet(one: Floats, other: Floats) -> float:
    """Return the squared Fréchet distance of the Gaussians with the means and covariances of two sets `[N, d]`."""
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = _root(first)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    shift = float(np.square(one.mean(0) - other.mean(0)).sum())
    return max(0.0, shift + float(np.trace(first) + np.trace(second) - 2 * cross))


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    rooted: Floats = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return rooted


def _same(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    return images


def _blurred(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    return functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), "replicate"), 3, 1)


def _noisy(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    return images + 0.15 * torch.randn(images.shape, generator=draw)


def _exchanged(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Exchange the upper and lower half, and with luck the left and right one."""
    high, wide = images.shape[2] // 2, images.shape[3] // 2
    return images.roll((high, wide * int(torch.randint(2, (1,), generator=draw))), (2, 3))


def _bent(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Take contrast away and shift the grey scale."""
    shift = 0.6 * torch.rand((len(images), 1, 1, 1), generator=draw) - 0.3
    return images * 0.7 + shift


CHANGES = (_same, _blurred, _noisy, _exchanged, _bent)
"""What may be done to images `[B, C, H, W]`."""
