"""Small pictures of which everything is known: a bright or a faint square at a random place on a smooth ground."""

from __future__ import annotations

import numpy as np

from client.synthesis.groups import Group, Images

SIDE = 12


def blobs(count: int, seed: int, *, each: int = 1, bright_share: float = 0.5) -> Group:
    """Return pictures, of class 1 where the square is bright; `each` of one patient."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < bright_share).astype(np.int64)
    images = rng.normal(-0.5, 0.05, (count, 1, SIDE, SIDE))
    for image, bright in zip(images, labels, strict=True):
        row, column = rng.integers(0, SIDE - 4, 2)
        image[0, row : row + 4, column : column + 4] += rng.uniform(0.5, 0.8) + 0.4 * bright
    return Group(images.astype(np.float32), labels, np.arange(count) // each)


def shaken(images: Images, seed: int) -> Images:
    """Return images with a little noise upon them."""
    rng = np.random.default_rng(seed)
    return images + rng.normal(0, 0.01, images.shape).astype(np.float32)
