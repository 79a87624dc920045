"""Whether drawn images are nearer to the patients who trained than to others: memorisation, by nearest neighbours.

Patients are held out by lot. Of a model that repeats nobody it makes no difference, for its images, who of all
patients was in training: what is found is compared with what other lots would have found (a permutation test). Counting
each drawn image as a toss of its own would see memorisation where there is none, since one patient of whom the model
knows nothing is often the nearest of many drawn images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from client.synthesis.groups import Group, Images

Distances = NDArray[np.float64]
LOTS = 2000
PIECE = 256
"""Images whose distances to all others are held at once."""
USUAL = 0.01
"""Quantile of held-out images' distances to training ones that no drawn image should be far below."""


@dataclass(frozen=True)
class Nearness:
    """What was found.

    Attributes:
        share: of drawn images that are nearer to a training patient's than to any held-out patient's.
        p_value: share of lots with so large a share, or a larger one.
        copies: drawn images nearer to a training image than half of what is near for a held-out image.
    """

    share: float
    p_value: float
    copies: int


def nearness(drawn: Images, train: Group, held_out: Group, rng: np.random.Generator) -> Nearness:
    """Compare drawn images `[N, C, H, W]` with equally many patients of both sides; copies with all of them."""
    size = min(len(np.unique(group.patients)) for group in (train, held_out))
    sides = [group.of_patients(size, rng) for group in (train, held_out)]
    images = np.concatenate([side.images for side in sides])
    numbers = [np.unique(side.patients, return_inverse=True)[1] for side in sides]
    owner = np.concatenate([numbers[0], numbers[1] + size])
    nearest = owner[_nearest(drawn, images)[1]]
    times = np.bincount(nearest, minlength=2 * size)
    found = times[:size].sum()
    chance = np.array([rng.permutation(times)[:size].sum() for _ in range(LOTS)])
    return Nearness(
        share=float(found / len(drawn)),
        p_value=float((1 + (chance >= found).sum()) / (1 + LOTS)),
        copies=_copies(drawn, train, held_out),
    )


def _copies(drawn: Images, train: Group, held_out: Group) -> int:
    usual = np.quantile(_nearest(held_out.images, train.images)[0], USUAL)
    return int((_nearest(drawn, train.images)[0] < usual / 2).sum())


def _nearest(images: Images, among: Images) -> tuple[Distances, NDArray[np.int64]]:
    """Return each image's root mean squared distance to the nearest of others, `[N]`, and which that is."""
    others = torch.from_numpy(among).flatten(1).double()
    pieces = torch.from_numpy(images).flatten(1).double().split(PIECE)
    found = [torch.cdist(piece, others).min(1) for piece in pieces]
    distances = torch.cat([each.values for each in found]) / np.sqrt(others.shape[1])
    return distances.numpy(), torch.cat([each.indices for each in found]).numpy()
