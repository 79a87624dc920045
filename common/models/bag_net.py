"""A map of what each patch of an image says by itself: nothing from outside the patch can move it.

W. Brendel and M. Bethge, "Approximating CNNs with Bag-of-local-Features Models Works Surprisingly Well on ImageNet",
2019 (BagNet), here small and without residual branches. There is no normalisation over the image and no zero between
the layers: both would let a corner answer for a finding elsewhere, and a map is only worth looking at where it cannot.
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

KERNEL = 3
DARKEST = -1.0
"""What is assumed outside the image, as its darkest value."""


class BagNetOptions(ModelOptions):
    """Options of `bag-net`.

    Attributes:
        channels: of every layer; each layer sees three times three of the cells below it (in volumes, cubes).
        stride: pixels of the image along a side of the map's cells; the first layers halve the size.
    """

    channels: tuple[Width, ...] = Field(default=(16, 32, 32, 32), min_length=1, max_length=12)
    stride: Literal[1, 2, 4, 8] = 2

    @model_validator(mode="after")
    def _reached(self) -> BagNetOptions:
        if self.halvings > len(self.channels):
            raise ValueError(f"stride {self.stride} needs {self.halvings} layers of channels")
        return self

    @property
    def halvings(self) -> int:
        """Layers that halve the size."""
        return self.stride.bit_length() - 1

    @property
    def patch(self) -> int:
        """Pixels along a side of the patch that a cell sees."""
        steps = [1 << min(layer, self.halvings) for layer in range(len(self.channels))]
        return 1 + (KERNEL - 1) * sum(steps)


class BagNet(nn.Module):
    """See the module; maps `[B, C, *spatial]` to `[B, outputs, *(spatial / stride)]`.

    A cell's patch lies round the cell's own pixels, to within half a pixel.
    """

    def __init__(self, options: BagNetOptions, dimensions: int, inputs: int, outputs: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        beyond = options.patch - options.stride
        self.rim = (beyond // 2, beyond - beyond // 2) * dimensions
        layers: list[nn.Module] = []
        for number, (a, b) in enumerate(pairwise((inputs, *options.channels))):
            stride = 2 if number < options.halvings else 1
            layers += [convolution(a, b, KERNEL, stride=stride), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = convolution(options.channels[-1], outputs, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the maps."""
        wide = F.pad(images, self.rim, value=DARKEST)
        drawn: torch.Tensor = self.head(self.layers(wide))
        return drawn


class BagNetFamily:
    """Builds `bag-net`."""

    Options = BagNetOptions

    @staticmethod
    def build(options: BagNetOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`.

        Raises:
            StudyError: it is neither, or a side is no multiple of the stride.
        """
        if len(shape) not in (3, 4):
            raise StudyError(
                f"Model 'bag-net' takes images or volumes, but the study's data have sample shape {shape}.",
                where="[model] name",
                fix="Choose a model made for this kind of data.",
            )
        if any(side % options.stride for side in shape[1:]):
            raise StudyError(
                f"Images of {'x'.join(map(str, shape[1:]))} px have no whole cells of {options.stride} px.",
                where="[data] image_size",
                fix=f"Use multiples of {options.stride} px, or another stride.",
            )
        return BagNet(options, len(shape) - 1, shape[0], outputs)
