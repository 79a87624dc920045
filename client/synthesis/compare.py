"""Compares drawn images with a site's own: whether they look like them, and whether they repeat any of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

from client.synthesis.features import features_of, frechet, trained_features
from common.errors import DataError

Images = NDArray[np.float32]
Distances = NDArray[np.float64]
LEAST = 30
"""Images that a comparison needs on every side."""
SUSPICION = 0.01


@dataclass(frozen=True)
class Comparison:
    """What was found; it is about the house's patients and stays there.

    Attributes:
        fid: distance of drawn images from held-out patients' (see `client.synthesis.features`); small is good.
        fid_real: the same of the training patients': what perfect images would have.
        fid_noise: the same of images whose pixels are drawn each by itself.
        nearer_to_training: share of drawn images that are nearer to a training patient's than to any held-out
            patient's, of equally many; one half where nothing was memorised.
        p_value: how often chance alone gives so large a share.
        copies: drawn images nearer to a training image than held-out images ever are.
        images: how many were drawn.
    """

    fid: float
    fid_real: float
    fid_noise: float
    nearer_to_training: float
    p_value: float
    copies: int
    images: int

    @property
    def suspicious(self) -> bool:
        """Whether the images repeat patients more than chance explains."""
        return self.p_value < SUSPICION or self.copies > 0

    def lines(self) -> list[str]:
        """Return what the house is told."""
        likeness = (
            f"FID-like distance to held-out images: {self.fid:.4f} "
            f"(training images {self.fid_real:.4f}, pixels drawn each by itself {self.fid_noise:.4f})"
        )
        nearness = (
            f"nearer to a training image than to a held-out one: {self.nearer_to_training:.2f} "
            f"(0.50 expected; p = {self.p_value:.3f}); copies: {self.copies}"
        )
        warning = "warning: images repeat training patients; do not give them away."
        return [likeness, nearness, *([warning] if self.suspicious else [])]


def compare(
    drawn: Images, train: Images, held_out: Images, *, seed: int, device: torch.device
) -> Comparison:
    """Compare drawn images with a site's, all `[N, C, H, W]` in [-1, 1].

    Raises:
        DataError: there are too few images.
    """
    fewest = min(len(drawn), len(train), len(held_out))
    if fewest < LEAST:
        raise DataError(
            f"A comparison needs {LEAST} images drawn, of training patients and of held-out ones; there are "
            f"{len(drawn)}, {len(train)} and {len(held_out)}.",
            where="--count, --site",
            fix="Draw more images with --count, or use a site with more patients.",
        )
    rng = np.random.default_rng(seed)
    network = trained_features(train, seed=seed, device=device)
    truth, real, own, noise = (
        features_of(network, images, device)
        for images in (held_out, train, drawn, _by_pixel(train, len(drawn), rng))
    )
    nearer, to_train = nearness(drawn, train, held_out, rng)
    known = _nearest(held_out, train)
    return Comparison(
        fid=frechet(own, truth),
        fid_real=frechet(real, truth),
        fid_noise=frechet(noise, truth),
        nearer_to_training=nearer / len(drawn),
        p_value=float(binomtest(nearer, len(drawn), 0.5, alternative="greater").pvalue),
        copies=int((to_train < known.min() / 2).sum()),
        images=len(drawn),
    )


def nearness(
    drawn: Images, train: Images, held_out: Images, rng: np.random.Generator
) -> tuple[int, Distances]:
    """Return how many drawn images are nearer to training than to held-out ones, and each one's distance to training.

    Both sides have equally many images, drawn at random from the larger: by chance each is the nearer in half of all
    cases, since patients are held out by lot.
    """
    size = min(len(train), len(held_out))
    some = [images[rng.choice(len(images), size, replace=False)] for images in (train, held_out)]
    one, other = (_nearest(drawn, images) for images in some)
    return int((one < other).sum()), _nearest(drawn, train)


def _nearest(images: Images, among: Images) -> Distances:
    """Return each image's root mean squared distance to the nearest of others, `[N]`."""
    one, other = (torch.from_numpy(each).flatten(1).double() for each in (images, among))
    distances: Distances = torch.cdist(one, other).amin(1).numpy() / np.sqrt(one.shape[1])
    return distances


def _by_pixel(images: Images, count: int, rng: np.random.Generator) -> Images:
    """Return images whose pixels have the mean and deviation of the given ones', and nothing to do with each other."""
    shape = (count, *images.shape[1:])
    noise = rng.standard_normal(shape, np.float32) * images.std(0) + images.mean(0)
    clipped: Images = np.clip(noise, -1, 1).astype(np.float32)
    return clipped
