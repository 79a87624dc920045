"""A small feature pyramid that draws a coarse map: an encoder, and a way back up to the map's size.

T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", 2017, with one output level; the head is that of
X. Zhou, D. Wang and P. Krähenbühl, "Objects as Points", 2019.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import nn

from common.errors import StudyError
from common.models.base import ModelOptions, Width


class CentreNetOptions(ModelOptions):
    """Options of `centre-net`.

    Attributes:
        channels: of every level of the encoder, from the full size down; each level halves the size.
        width: channels of the way up and of the head.
        stride: pixels of the image along a side of the map's cells.
        groups: of every GroupNorm, at most; fewer where a layer has fewer channels.
    """

    channels: tuple[Width, ...] = Field(default=(8, 16, 32), min_length=2, max_length=7)
    width: Width = 16
    stride: Literal[1, 2, 4, 8] = 2
    groups: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _reached(self) -> CentreNetOptions:
        if self.level >= len(self.channels):
            raise ValueError(
                f"stride {self.stride} needs more than {self.level} levels of channels"
            )
        return self

    @property
    def level(self) -> int:
        """The level whose size the map has."""
        return self.stride.bit_length() - 1


class CentreNet(nn.Module):
    """See the module; maps `[B, C, *spatial]` to `[B, outputs, *(spatial / stride)]`."""

    def __init__(
        self, options: CentreNetOptions, dimensions: int, inputs: int, outputs: int
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        sizes = (inputs, *options.channels)
        self.first = options.level
        self.down = nn.ModuleList(
            _layer(dimensions, a, b, options.groups, stride=1 if number == 0 else 2)
            for number, (a, b) in enumerate(pairwise(sizes))
        )
        self.side = nn.ModuleList(
            convolution(width, options.width, 1) for width in options.channels[self.first :]
        )
        self.head = nn.Sequential(
            _layer(dimensions, options.width, options.width, options.groups),
            convolution(options.width, outputs, 1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the maps."""
        levels = []
        for layer in self.down:
            images = layer(images)
            levels.append(images)
        levels = levels[self.first :]
        found: torch.Tensor = self.side[-1](levels[-1])
        for side, level in zip(reversed(self.side[:-1]), reversed(levels[:-1]), strict=True):
            found = side(level) + F.interpolate(found, size=level.shape[2:], mode="nearest")
        drawn: torch.Tensor = self.head(found)
        return drawn


class CentreNetFamily:
    """Builds `centre-net`."""

    Options = CentreNetOptions

    @staticmethod
    def build(options: CentreNetOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`.

        Raises:
            StudyError: it is neither, or a side is no multiple of what the levels need.
        """
        if len(shape) not in (3, 4):
            raise StudyError(
                f"Model 'centre-net' takes images or volumes, but the study's data have sample shape {shape}.",
                where="[model] name",
                fix="Choose a model made for this kind of data.",
            )
        step = 2 ** (len(options.channels) - 1)
        if any(side % step for side in shape[1:]):
            raise StudyError(
                f"Images of {'x'.join(map(str, shape[1:]))} px cannot be halved {len(options.channels) - 1} times.",
                where="[data] image_size",
                fix=f"Use multiples of {step} px, or fewer levels.",
            )
        return CentreNet(options, len(shape) - 1, shape[0], outputs)


def _layer(dimensions: int, inputs: int, width: int, groups: int, stride: int = 1) -> nn.Module:
    """Return a convolution with its norm; no sample sees another."""
    convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
    own = next(g for g in range(min(groups, width), 0, -1) if width % g == 0)
    return nn.Sequential(
        convolution(inputs, width, 3, stride=stride, padding=1),
        nn.GroupNorm(own, width),
        nn.ReLU(),
    )
