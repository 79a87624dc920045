"""A compact convolutional network made for private training: fixed filters first, few weights after.

Under differential privacy noise grows with the number of weights while the signal does not, so what
need not be learned from patients should not be. The first layer is therefore public: Gaussian
derivatives (Koenderink, van Doorn 1987) turned into rotation-invariant maps of edges and ridges,
after the finding of Tramèr and Boneh (2021, "Differentially private learning needs better features
(or much more data)") that fixed filters beat learned ones at strict ε. Bounded activations, an
option here, are from Papernot et al. (2021, "Tempered sigmoid activations for deep learning with
differential privacy").
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from common.errors import StudyError
from common.models.base import ModelOptions, Width, require_rank

MAPS = 5
_TINY = 1e-4


class CompactOptions(ModelOptions):
    """Options of `compact-cnn`.

    Attributes:
        scales: standard deviations in pixels of the fixed filters; none: all layers are learned.
        reduce: average-pool the filters' maps by this factor, which saves time and little else.
        channels: output channels of the learned convolutions, each followed by GroupNorm.
        groups: of every GroupNorm.
        activation: "tanh" bounds the gradient.
    """

    scales: tuple[float, ...] = (0.7, 1.4)
    reduce: int = Field(default=2, ge=1)
    channels: tuple[Width, ...] = Field(default=(16, 16), min_length=1)
    groups: int = Field(default=4, ge=1)
    activation: Literal["relu", "elu", "tanh"] = "relu"


class GaussianDerivatives(nn.Module):
    """Fixed filters: [B, C, H, W] to [B, C x scales x 5, H, W]; holds no weights.

    Each scale gives the smoothed image, the gradient's length, the two principal curvatures and
    their difference; turning or mirroring the image turns or mirrors the maps.
    """

    kernels: Tensor

    def __init__(self, scales: tuple[float, ...]) -> None:
        super().__init__()
        self.radius = max(3, round(3.5 * max(scales)))
        kernels = torch.cat([_kernels(scale, self.radius) for scale in scales])
        # Not persistent: the filters are public, so they are not part of what sites exchange.
        self.register_buffer("kernels", kernels[:, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps."""
        batch, channels, height, width = images.shape
        flat = images.reshape(batch * channels, 1, height, width)
        padded = functional.pad(flat, (self.radius,) * 4, mode="replicate")
        maps = functional.conv2d(padded, self.kernels).unflatten(1, (-1, 6))
        smooth, gx, gy, xx, yy, xy = maps.unbind(2)
        edge = torch.sqrt(gx**2 + gy**2 + _TINY)
        spread = torch.sqrt((xx - yy) ** 2 + 4 * xy**2 + _TINY)
        trace = xx + yy
        kinds = (smooth, 3 * edge, 2 * (trace + spread), 2 * (trace - spread), 4 * spread)
        return torch.stack(kinds, 2).reshape(batch, -1, height, width)


class MeanAndMax(nn.Module):
    """Global pooling: [B, C, H, W] to [B, 2C], the mean and the maximum of every map."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the pooled features."""
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)


class CompactCNN:
    """Fixed filters, a few small convolutions with GroupNorm, global pooling, one linear layer."""

    Options = CompactOptions

    @staticmethod
    def build(options: CompactOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)`.

        Raises:
            StudyError: the images are too small, or groups do not divide the channels.
        """
        require_rank("compact-cnn", shape, 3, "images")
        _check(options, shape)
        depth = shape[0]
        layers: list[nn.Module] = []
        if options.scales:
            depth *= MAPS * len(options.scales)
            layers += [GaussianDerivatives(options.scales), nn.AvgPool2d(options.reduce)]
            layers.append(nn.GroupNorm(depth, depth, affine=False))
        for number, width in enumerate(options.channels):
            layers += [nn.MaxPool2d(2)] if number else []
            layers += [nn.Conv2d(depth, width, 3, padding=1)]
            layers += [nn.GroupNorm(options.groups, width), _ACTIVATIONS[options.activation]()]
            depth = width
        return nn.Sequential(*layers, MeanAndMax(), nn.Linear(2 * depth, outputs))


_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh}


def _check(options: CompactOptions, shape: tuple[int, ...]) -> None:
    if any(not 0.3 <= scale <= 32.0 for scale in options.scales):
        raise StudyError("Scales lie between 0.3 and 32 pixels.", where="[model] scales")
    if any(width % options.groups for width in options.channels):
        raise StudyError(
            f"{options.groups} groups do not divide channels {list(options.channels)}.",
            where="[model] groups",
            fix="Use channels that are multiples of groups.",
        )
    reduced = options.reduce if options.scales else 1
    least = reduced * 2 ** (len(options.channels) - 1) * 2
    if min(shape[1:]) < least:
        raise StudyError(
            f"Images of {shape[1]}x{shape[2]} px are too small for this network.",
            where="[data] image_size",
            fix=f"Use at least {least} px.",
        )


def _kernels(scale: float, radius: int) -> Tensor:
    """Scale-normalised Gaussian and its first and second derivatives, [6, side, side]."""
    line = torch.arange(-radius, radius + 1, dtype=torch.float64)
    y, x = torch.meshgrid(line / scale, line / scale, indexing="ij")
    bell = torch.exp(-(x**2 + y**2) / 2)
    bell = bell / bell.sum()
    first = [-x * bell, -y * bell]
    second = [(x**2 - 1) * bell, (y**2 - 1) * bell]
    second = [kernel - kernel.mean() for kernel in second]  # flat images answer with zero
    return torch.stack([bell, *first, *second, x * y * bell]).float()
