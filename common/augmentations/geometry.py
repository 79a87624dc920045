"""Small turns, shifts and zooms, and random pieces of images and volumes; masks move along, by the nearest pixel.

Volumes turn in the plane of their slices only, whose pixels are as wide as high. Beyond the rim the last value goes on.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch.nn.functional import affine_grid, grid_sample

from common.augmentations.base import (
    IMAGES,
    POINTS,
    Doubles,
    SometimesOptions,
    Words,
    has_masks,
    spread,
    unit,
)


class AffineOptions(SometimesOptions):
    """The largest turn, the largest shift as a share of each side, and the largest share of zoom in or out."""

    degrees: float = Field(default=10.0, ge=0.0, le=180.0)
    shift: float = Field(default=0.05, ge=0.0, le=0.5)
    scale: float = Field(default=0.1, ge=0.0, le=0.5)


class Affine:
    """Turn, shift and zoom a little."""

    Options = AffineOptions
    kinds = IMAGES
    unfit = POINTS
    words = 5

    @staticmethod
    def apply(
        options: AffineOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Move every sample by its own map."""
        angle = np.deg2rad(spread(words[:, 0], options.degrees))
        zoom = 1.0 + spread(words[:, 1], options.scale)
        shifts = 2.0 * spread(words[:, 2:], options.shift)
        return _moved(inputs, targets, angle, 1.0 / zoom, shifts)


class CropOptions(SometimesOptions):
    """The smallest share of each side that is kept."""

    smallest: float = Field(default=0.8, ge=0.1, lt=1.0)


class Crop:
    """Take a piece somewhere inside and scale it back to the size of the whole."""

    Options = CropOptions
    kinds = IMAGES
    unfit = POINTS
    words = 4

    @staticmethod
    def apply(
        options: CropOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut out of every sample a piece of its own size and place."""
        side = options.smallest + (1.0 - options.smallest) * unit(words[:, 0])
        middle = spread(words[:, 1:], 1.0) * (1.0 - side[:, None])
        return _moved(inputs, targets, np.zeros(len(side)), side, middle)


def _moved(
    inputs: torch.Tensor, targets: torch.Tensor, angle: Doubles, scale: Doubles, middle: Doubles
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read samples, and their masks, at turned, scaled and shifted places.

    Args:
        inputs: `[B, C, H, W]` or `[B, C, D, H, W]`.
        targets: `[B, ...]`.
        angle: `[B]`, radians.
        scale: `[B]`, distance of neighbours in pixels of the original.
        middle: `[B, 3]`, where the middle is read, in half sides from it: along columns, rows and slices.
    """
    maps = _maps(tuple(inputs.shape[2:]), angle, scale, middle)
    theta = torch.from_numpy(maps).to(device=inputs.device, dtype=inputs.dtype)
    places = affine_grid(theta, [len(inputs), 1, *inputs.shape[2:]], align_corners=False)
    made = grid_sample(inputs, places, "bilinear", "border", align_corners=False)
    if not has_masks(inputs, targets):
        return made, targets
    masks = targets[:, None].to(inputs.dtype)
    moved = grid_sample(masks, places, "nearest", "border", align_corners=False)
    return made, moved[:, 0].to(targets.dtype)


def _maps(shape: tuple[int, ...], angle: Doubles, scale: Doubles, middle: Doubles) -> Doubles:
    """Return `[B, axes, axes + 1]`: from places in the result to places in the original, −1 to 1 along each side."""
    axes = len(shape)
    height, width = shape[-2:]
    maps = np.zeros((len(angle), axes, axes + 1))
    maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
    maps[:, 0, 1] = -np.sin(angle) * height / width
    maps[:, 1, 0] = np.sin(angle) * width / height
    if axes == 3:
        maps[:, 2, 2] = 1.0
    maps *= scale[:, None, None]
    maps[:, :, axes] = middle[:, :axes]
    return maps
