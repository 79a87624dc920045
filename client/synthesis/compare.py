"""Compares drawn images with a site's own: whether they look like them, teach the same, and repeat any of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from client.synthesis.features import features_of, frechet, trained_features
from client.synthesis.groups import Group, Images, as_common_as
from client.synthesis.nearness import nearness
from client.synthesis.usefulness import usefulness
from common.errors import DataError

LEAST = 30
"""Images that a comparison needs on every side."""
SUSPICION = 0.01


@dataclass(frozen=True)
class Comparison:
    """What was found; it is about the house's patients and stays there.

    Attributes:
        fid: distance of drawn images from held-out patients' (see `client.synthesis.features`); small is good.
        fid_real: the same of as many training patients' images: what perfect images would have.
        fid_noise: the same of images whose pixels are drawn each by itself.
        nearer_to_training: share of drawn images that are nearer to a training patient's than to any held-out
            patient's, of equally many patients; one half where nothing was memorised.
        p_value: how often chance alone gives so large a share (see `client.synthesis.nearness`).
        copies: drawn images far nearer to a training image than held-out images are.
        images: how many were compared: of each class as large a share as among held-out images.
        auc_drawn: on held-out images, of a classifier that was trained on all drawn ones; None: too few of a class.
        auc_real: of the same classifier, trained on as many training images.
    """

    fid: float
    fid_real: float
    fid_noise: float
    nearer_to_training: float
    p_value: float
    copies: int
    images: int
    auc_drawn: float | None = None
    auc_real: float | None = None

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
        nearer = (
            f"nearer to a training image than to a held-out one: {self.nearer_to_training:.2f} "
            f"(0.50 expected; p = {self.p_value:.3f}); copies: {self.copies}"
        )
        lines = [likeness, nearer]
        if self.auc_drawn is not None:
            lines.append(
                f"a classifier trained on drawn images has AUC {self.auc_drawn:.3f} on held-out ones "
                f"(trained on as many of the house's: {self.auc_real:.3f})"
            )
        if self.suspicious:
            lines.append("warning: images repeat training patients; do not give them away.")
        return lines


def compare(
    drawn: Group, train: Group, held_out: Group, *, seed: int, device: torch.device
) -> Comparison:
    """Compare drawn images with a site's.

    Raises:
        DataError: there are too few images.
    """
    _require_enough(len(drawn), len(train), len(held_out))
    rng = np.random.default_rng(seed)
    alike = drawn.images[as_common_as(held_out.labels, drawn.labels, rng)]
    _require_enough(len(alike), len(train), len(held_out))
    near = nearness(alike, train, held_out, rng)
    useful = usefulness(drawn, train, held_out, seed=seed, device=device)
    return Comparison(
        *_likeness(alike, train.images, held_out.images, rng, seed, device),
        nearer_to_training=near.share,
        p_value=near.p_value,
        copies=near.copies,
        images=len(alike),
        auc_drawn=None if useful is None else useful.drawn,
        auc_real=None if useful is None else useful.real,
    )


def _likeness(
    drawn: Images,
    train: Images,
    held_out: Images,
    rng: np.random.Generator,
    seed: int,
    device: torch.device,
) -> tuple[float, float, float]:
    """Return the distance from held-out images of drawn ones, of training ones and of noise.

    All are of equally many images: the distance of few is larger than that of many of the same kind.
    """
    size = min(len(drawn), len(train))
    network = trained_features(train, seed=seed, device=device)
    truth = features_of(network, held_out, device)
    sets = [images[rng.permutation(len(images))[:size]] for images in (drawn, train)]
    sets.append(_by_pixel(train, size, rng))
    own, real, noise = (frechet(features_of(network, images, device), truth) for images in sets)
    return own, real, noise


def _require_enough(drawn: int, train: int, held_out: int) -> None:
    if min(drawn, train, held_out) >= LEAST:
        return
    raise DataError(
        f"A comparison needs {LEAST} images drawn, of training patients and of held-out ones; there are "
        f"{drawn}, {train} and {held_out}, with classes as common as among the held-out ones.",
        where="--count, --site",
        fix="Draw more images with --count, or use a site with more patients.",
    )


def _by_pixel(images: Images, count: int, rng: np.random.Generator) -> Images:
    """Return images whose pixels have the mean and deviation of the given ones', and nothing to do with each other."""
    shape = (count, *images.shape[1:])
    noise = rng.standard_normal(shape, np.float32) * images.std(0) + images.mean(0)
    clipped: Images = np.clip(noise, -1, 1).astype(np.float32)
    return clipped
