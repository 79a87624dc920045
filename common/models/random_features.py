"""Random convolutional features: nothing before the pooling is learned, a small network behind it is.

Filters that nobody trained tell images apart well (Jarrett et al. 2009, "What is the best multi-stage architecture for
object recognition?"; Saxe et al. 2011, "On random weights and unsupervised feature learning"). With a few hundred
patients they can be many, for they cannot be fitted to noise, and they cost no privacy. They stand on the fixed filters
of `compact-cnn`, and are brought to one scale by what images of random clouds give, so that no patient plays a part.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from common.errors import StudyError
from common.models.base import ModelOptions, Width, require_rank
from common.models.compact_cnn import MAPS, GaussianDerivatives, MeanAndMax

CLOUDS, STEEPNESS = 128, 1.5
"""How many images of clouds, and the power of the frequency by which their amplitudes fall."""
_SEED = 1
_TINY = 1e-6


class RandomFeaturesOptions(ModelOptions):
    """Options of `random-features`.

    Attributes:
        scales: standard deviations in pixels of the filters before the random ones.
        features: random filters of 3 × 3; the mean and the maximum of each one's map are read.
        hidden: widths of the layers that are learned before the last; none: logistic regression.
    """

    scales: tuple[float, ...] = Field(default=(0.7, 1.4, 2.8), min_length=1)
    features: Width = 256
    hidden: tuple[Width, ...] = ()


class RandomFeatures(nn.Module):
    """Fixed features of images: `[B, C, H, W]` to `[B, 2 × features]`; holds no weights.

    Args:
        scales: of the first filters, in pixels.
        shape: of an image, (C, H, W).
        features: random filters.
    """

    kernels: Tensor
    bias: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, scales: tuple[float, ...], shape: tuple[int, ...], features: int) -> None:
        super().__init__()
        self.filters = nn.Sequential(GaussianDerivatives(scales), nn.AvgPool2d(2))
        self.pool = MeanAndMax()
        maps = shape[0] * MAPS * len(scales)
        random = torch.Generator().manual_seed(_SEED)
        kernels = torch.randn(features, maps, 3, 3, generator=random) / (9 * maps) ** 0.5
        # Not persistent: they follow from public numbers, so they are not part of what sites exchange.
        self.register_buffer("kernels", kernels, persistent=False)
        bias = torch.randn(features, generator=random)
        self.register_buffer("bias", bias, persistent=False)
        with torch.no_grad():
            seen = torch.cat([self._pooled(part) for part in _clouds(shape).split(16)])
        self.register_buffer("middle", seen.mean(0), persistent=False)
        self.register_buffer("spread", seen.std(0) + _TINY, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, about as large as a standard normal."""
        found: Tensor = (self._pooled(images) - self.middle) / self.spread
        return functional.layer_norm(found, found.shape[1:])

    def _pooled(self, images: Tensor) -> Tensor:
        maps = self.filters(images)
        maps = functional.group_norm(maps, maps.shape[1])
        pooled: Tensor = self.pool(
            functional.conv2d(maps, self.kernels, self.bias, padding=1).relu()
        )
        return pooled


class RandomFeatureNetwork:
    """Random convolutional features and a fully connected network behind them."""

    Options = RandomFeaturesOptions

    @staticmethod
    def build(options: RandomFeaturesOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)`.

        Raises:
            StudyError: the images are too small, or a scale is out of bounds.
        """
        require_rank("random-features", shape, 3, "images")
        _check(options, shape)
        width = 2 * options.features
        layers: list[nn.Module] = [RandomFeatures(options.scales, shape, options.features)]
        for size in options.hidden:
            layers += [nn.Linear(width, size), nn.ReLU()]
            width = size
        return nn.Sequential(*layers, nn.Linear(width, outputs))


def _clouds(shape: tuple[int, ...]) -> Tensor:
    """Return images of random clouds, `[CLOUDS, C, H, W]` within −1 and 1, as smooth as pictures usually are."""
    random = torch.Generator().manual_seed(_SEED)
    white = torch.randn(CLOUDS, *shape, generator=random)
    rows, columns = (torch.fft.fftfreq(side) for side in shape[1:])
    frequency = torch.hypot(rows[:, None], columns[None]).clamp_min(1 / max(shape[1:]))
    clouds: Tensor = torch.fft.ifft2(torch.fft.fft2(white) * frequency**-STEEPNESS).real
    clouds = clouds - clouds.mean((2, 3), keepdim=True)
    scaled: Tensor = 0.4 * clouds / clouds.std((2, 3), keepdim=True)
    return scaled.clamp(-1, 1)


def _check(options: RandomFeaturesOptions, shape: tuple[int, ...]) -> None:
    if any(not 0.3 <= scale <= 32.0 for scale in options.scales):
        raise StudyError("Scales lie between 0.3 and 32 pixels.", where="[model] scales")
    if min(shape[1:]) < 8:
        raise StudyError(
            f"Images of {shape[1]}x{shape[2]} px are too small for this network.",
            where="[data] image_size",
            fix="Use at least 8 px.",
        )
