"""An image as a whole: a few layers that see and answer in its lowest frequencies."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

GAIN = 4.0
"""By which frequencies are made smaller on their way in, so that the lowest are about 1, and answers on their way out,
so that these weights learn about as fast as those of convolutions."""


class Whole(nn.Module):
    """Sees the lowest frequencies of an image, and answers in them: where things are, for few weights.

    A small U-Net knows what is near a pixel, and hardly where in the image it is. The frequencies are those of the
    discrete cosine transform (Ahmed et al. 1974), public constants.
    """

    def __init__(self, shape: tuple[int, ...], waves: int, told: int) -> None:
        super().__init__()
        width = shape[0] * waves**2
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", cosines(shape[1], waves), persistent=False)
        self.register_buffer("columns", cosines(shape[2], waves), persistent=False)
        self.first = nn.Linear(width, width)
        self.change = nn.Linear(told, 2 * width)
        self.second = nn.Linear(width, width)
        self.direct = nn.Linear(told, 2 * width)

    def forward(self, images: Tensor, told: Tensor) -> Tensor:
        """Return `[B, C, H, W]` for images of that shape and what is told, `[B, told]`."""
        height, wide = images.shape[2:]
        seen = torch.einsum("bchw,hk,wl->bckl", images, self.rows, self.columns)
        seen = (seen / (GAIN * math.sqrt(height * wide))).flatten(1)
        scale, shift = self.change(told).chunk(2, 1)
        state = functional.silu((1 + scale) * self.first(seen) + shift)
        gain, mean = self.direct(told).chunk(2, 1)
        answer = (self.second(state) + gain * seen + mean) / GAIN
        shape = (-1, images.shape[1], self.rows.shape[1], self.columns.shape[1])
        result: Tensor = torch.einsum(
            "bckl,hk,wl->bchw", answer.reshape(shape), self.rows, self.columns
        )
        return result


def cosines(size: int, waves: int) -> Tensor:
    """Return the cosine waves of lowest frequency over `size` pixels, each of mean square 1: `[size, waves]`."""
    places = torch.arange(size) + 0.5
    found = torch.cos(math.pi / size * places[:, None] * torch.arange(waves))
    return found * torch.tensor([1.0] + [math.sqrt(2)] * (waves - 1))
