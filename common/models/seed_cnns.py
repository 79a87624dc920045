"""The convolutional networks of the project's source documents, each sized from the study's image size.

`seed-cnn-64` (conv 32-64-128, fc 128-64), `seed-cnn-28` (conv 32-64-64, fc 64), `lungct-net` (conv 32-64, fc 128) and
`plain-cnn`, the same pattern with free widths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import nn

from common.errors import StudyError
from common.models.base import ModelOptions, Width, require_rank


class SeedOptions(ModelOptions):
    """Options of the seed networks.

    Attributes:
        group_norm: put a GroupNorm after every convolution (the originals have none).
    """

    group_norm: bool = False


def stack(
    shape: tuple[int, ...],
    channels: Sequence[int],
    hidden: Sequence[int],
    outputs: int,
    group_norm: bool,
) -> nn.Module:
    """Return blocks of convolution, pooling and ReLU, then fully connected layers, for images `(C, H, W)`.

    Pooling comes before ReLU: the two commute, and ReLU then has a quarter of the work.
    """
    depth, height, width = shape
    layers: list[nn.Module] = []
    for out in channels:
        layers += [nn.Conv2d(depth, out, 3, padding=1)]
        layers += [nn.GroupNorm(math.gcd(8, out), out)] if group_norm else []
        layers += [nn.MaxPool2d(2), nn.ReLU()]
        depth, height, width = out, height // 2, width // 2
    if min(height, width) < 1:
        raise StudyError(
            f"Images of {shape[1]}x{shape[2]} px are too small for {len(channels)} poolings.",
            where="[data] image_size",
            fix=f"Use at least {2 ** len(channels)} px.",
        )
    layers.append(nn.Flatten())
    features = depth * height * width
    for size in hidden:
        layers += [nn.Linear(features, size), nn.ReLU()]
        features = size
    return nn.Sequential(*layers, nn.Linear(features, outputs))


class SeedFamily:
    """Base of the three fixed networks."""

    Options = SeedOptions
    name: ClassVar[str]
    channels: ClassVar[tuple[int, ...]]
    hidden: ClassVar[tuple[int, ...]]

    @classmethod
    def build(cls, options: SeedOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)`."""
        require_rank(cls.name, shape, 3, "images")
        return stack(shape, cls.channels, cls.hidden, outputs, options.group_norm)


class SeedCNN64(SeedFamily):
    """The five-class network for 64×64 slices."""

    name, channels, hidden = "seed-cnn-64", (32, 64, 128), (128, 64)


class SeedCNN28(SeedFamily):
    """The network for 28×28 images."""

    name, channels, hidden = "seed-cnn-28", (32, 64, 64), (64,)


class LungCTNet(SeedFamily):
    """The two-class network for lung CT."""

    name, channels, hidden = "lungct-net", (32, 64), (128,)


class PlainOptions(SeedOptions):
    """Options of `plain-cnn`.

    Attributes:
        channels: output channels of the convolutions.
        hidden: widths of the fully connected layers before the last.
    """

    channels: tuple[Width, ...] = Field(default=(16, 32), min_length=1)
    hidden: tuple[Width, ...] = ()


class PlainCNN:
    """Convolution and pooling blocks of free widths."""

    Options = PlainOptions

    @staticmethod
    def build(options: PlainOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)`."""
        require_rank("plain-cnn", shape, 3, "images")
        return stack(shape, options.channels, options.hidden, outputs, options.group_norm)
