"""Pictures of images: the sample as the network sees it, and what explains the answer laid over it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from client.doctor.data.png import encoded
from client.explain.colours import over, strengths

SIDE = 320
"""Pixels that a picture's longer side has at least."""

Floats = NDArray[np.float32]
Planes = NDArray[np.uint8]


def plain(sample: Floats, plane: int | None = None) -> bytes:
    """Return the picture of a sample as PNG.

    Args:
        sample: [C, rows, columns] or [C, depth, rows, columns] in [-1, 1].
        plane: which plane of a volume; none of an image.
    """
    return encoded(_shown(sample, plane))


def overlaid(sample: Floats, values: Floats, plane: int | None = None) -> bytes:
    """Return the picture with an explanation over it as PNG.

    Args:
        sample: as in `plain`.
        values: [rows, columns] or [depth, rows, columns]; colours are scaled to the whole volume.
        plane: as in `plain`.
    """
    strength = strengths(values)
    own = strength if plane is None else strength[plane]
    base = _shown(sample, plane)
    smooth = functional.interpolate(
        torch.from_numpy(own)[None, None], tuple(base.shape[1:]), mode="bilinear"
    )
    return encoded(over(np.broadcast_to(base, (3, *base.shape[1:])), smooth[0, 0].numpy()))


def strongest_plane(values: Floats) -> int:
    """Return the plane of [depth, rows, columns] that has most of an explanation."""
    return int(np.abs(values).sum(axis=(1, 2)).argmax())


def _shown(sample: Floats, plane: int | None) -> Planes:
    """Return a plane as [1 or 3, rows, columns], made larger by a whole number; of a stack the middle slice."""
    image = sample if plane is None else sample[:, plane]
    colours = image if len(image) == 3 else image[len(image) // 2][None]
    planes = np.clip((colours + 1.0) * 127.5, 0, 255).astype(np.uint8)
    times = max(1, -(-SIDE // max(planes.shape[1:])))
    larger: Planes = planes.repeat(times, axis=1).repeat(times, axis=2)
    return larger
