"""Flips and quarter turns in the plane of an image, or of every slice of a volume. No value is interpolated."""

from __future__ import annotations

from typing import Any

import torch

from common.augmentations.base import IMAGES, POINTS, SometimesOptions, Words, has_masks
from common.plugins import Options


class Turned:
    """What takes one random number for a sample and makes one of eight positions of it.

    A study that asks for flips and turns gets both from the same number.
    """

    Options = Options
    kinds = IMAGES
    unfit = POINTS
    words = 1
    flips = False
    turns = False

    @classmethod
    def apply(
        cls, options: Any, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn every sample, and its mask with it. Quarter turns of what is not square become half turns."""
        codes = torch.from_numpy(words[:, 0] % 8).to(inputs.device)
        square = inputs.shape[-2] == inputs.shape[-1]
        masks = has_masks(inputs, targets)
        made = inputs.clone()
        moved = targets.clone() if masks else targets
        for code in range(8):
            chosen = codes == code
            made[chosen] = cls._position(inputs[chosen], code, square)
            if masks:
                moved[chosen] = cls._position(targets[chosen], code, square)
        return made, moved

    @classmethod
    def _position(cls, images: torch.Tensor, code: int, square: bool) -> torch.Tensor:
        quarters, flipped = code % 4, code // 4
        if cls.turns:
            images = torch.rot90(images, quarters if square else 2 * (quarters % 2), (-2, -1))
        elif quarters % 2:
            images = images.flip(-2)
        return images.flip(-1) if flipped and cls.flips else images


class Flip(Turned):
    """Left and right, and top and bottom, exchanged or not."""

    flips = True


class Rotate(Turned):
    """Quarter turns."""

    turns = True


class FlipAndRotate(Flip, Rotate):
    """All eight positions of a square."""


class Mirror:
    """Left and right exchanged, and nothing else: for images with an up and a down, as ultrasound has."""

    Options = SometimesOptions
    kinds = IMAGES
    unfit = POINTS
    words = 0

    @staticmethod
    def apply(
        options: SometimesOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mirror every sample, and its mask with it."""
        return inputs.flip(-1), targets.flip(-1) if has_masks(inputs, targets) else targets
