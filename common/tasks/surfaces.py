"""Distances between the borders of what was drawn and what is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """The pixels of an image.

    Attributes:
        shape: rows and columns, or depth, rows and columns.
        spacing: distance from pixel to pixel along each.
        unit: of the spacing; pixels where the study lets every scanner keep its own.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    unit: Literal["mm", "px"]

    @property
    def diagonal(self) -> float:
        """From the first pixel to the last."""
        return math.dist([0.0] * len(self.shape), self._last)

    @property
    def _last(self) -> list[float]:
        pairs = zip(self.shape, self.spacing, strict=True)
        return [max(1, side - 1) * step for side, step in pairs]


def grid_of(data: Any) -> Grid:
    """Return the grid of a study's masks (`[data]` with `labels = "mask"`).

    Millimetres are known where the study resamples to a spacing, in all directions, and no later step scales images.
    """
    depth = getattr(data, "depth", None)
    shape = data.model_shape[-2:] if depth is None else (depth, *data.model_shape[-2:])
    plane = getattr(data, "spacing_mm", None)
    given = (
        (plane, plane) if depth is None else (getattr(data, "slice_spacing_mm", None), plane, plane)
    )
    spacing = tuple(float(step) for step in given if step is not None)
    scaled = any(step.name == "resize" for step in data.steps)
    if scaled or len(spacing) < len(shape):
        return Grid(shape, (1.0,) * len(shape), "px")
    return Grid(shape, spacing, "mm")


def hausdorff95(drawn: torch.Tensor, truth: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Return the 95th percentile of the distances between two borders, in the grid's unit, `[B, structures]`.

    The larger of the two directions (Huttenlocher, Klanderman and Rucklidge 1993, with a percentile in place of the
    maximum). Infinite where one of the two is empty.

    Args:
        drawn: `[B, structures, ...]` booleans.
        truth: the same.
        grid: of the images.
    """
    found = torch.full(drawn.shape[:2], math.inf, dtype=torch.float64)
    both = drawn.flatten(2).any(2) & truth.flatten(2).any(2)
    for image, structure in both.nonzero().tolist():
        one, other = (_border(mask[image, structure].numpy()) for mask in (drawn, truth))
        found[image, structure] = max(_away(one, other, grid), _away(other, one, grid))
    return found


def _border(mask: Mask) -> Mask:
    """Return the pixels of a mask that touch what is outside of it."""
    from scipy.ndimage import binary_erosion

    inside: Mask = binary_erosion(mask)
    return mask & ~inside


def _away(border: Mask, other: Mask, grid: Grid) -> float:
    """Return how far the pixels of a border are from another, at the 95th percentile."""
    from scipy.ndimage import distance_transform_edt

    distances = distance_transform_edt(~other, sampling=grid.spacing)[border]
    return float(np.percentile(distances, 95))
