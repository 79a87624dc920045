"""Changes of values: noise, brightness, contrast and gamma, blur, and a rectangle that is erased."""

from __future__ import annotations

import math

import numpy as np
import torch
from pydantic import Field
from torch.nn.functional import conv2d, pad

from common.augmentations.base import (
    IMAGES,
    Doubles,
    SometimesOptions,
    Words,
    per_sample,
    spread,
    unit,
)

Pair = tuple[torch.Tensor, torch.Tensor]


class NoiseOptions(SometimesOptions):
    """The largest standard deviation; every sample draws its own below it."""

    deviation: float = Field(default=0.05, gt=0.0, le=10.0)


class Noise:
    """Add Gaussian noise to every value."""

    Options = NoiseOptions
    kinds = IMAGES
    unfit: frozenset[str] = frozenset()
    words = 2

    @staticmethod
    def apply(
        options: NoiseOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Add noise. Nobody's privacy rests on it, so one random number a sample may seed it."""
        deviation = per_sample(options.deviation * unit(words[:, 0]), inputs)
        drawn = [_normals(int(seed), tuple(inputs.shape[1:])) for seed in words[:, 1]]
        return inputs + deviation * torch.from_numpy(np.stack(drawn)).to(inputs), targets


def _normals(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape, np.float32)


class IntensityOptions(SometimesOptions):
    """The largest share of contrast, the largest shift of all values, and how far the power of gamma is from 1."""

    scale: float = Field(default=0.1, ge=0.0, lt=1.0)
    shift: float = Field(default=0.1, ge=0.0, le=10.0)
    gamma: float = Field(default=0.2, ge=0.0, le=9.0)


class Intensity:
    """Bend the grey scale between a sample's darkest and brightest value, then scale and shift it."""

    Options = IntensityOptions
    kinds = IMAGES
    unfit: frozenset[str] = frozenset()
    words = 3

    @staticmethod
    def apply(
        options: IntensityOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Change all values of a sample alike."""
        power = np.exp(spread(words[:, 0], math.log1p(options.gamma)))
        axes = tuple(range(1, inputs.ndim))
        least = inputs.amin(axes, keepdim=True)
        extent = (inputs.amax(axes, keepdim=True) - least).clamp_min(1e-7)
        bent = ((inputs - least) / extent) ** per_sample(power, inputs) * extent + least
        contrast = per_sample(1.0 + spread(words[:, 1], options.scale), inputs)
        return bent * contrast + per_sample(spread(words[:, 2], options.shift), inputs), targets


class BlurOptions(SometimesOptions):
    """The largest standard deviation of the bell that a pixel is averaged with."""

    sigma_px: float = Field(default=1.0, gt=0.0, le=20.0)


class Blur:
    """Blur in the plane; beyond the rim the last value goes on."""

    Options = BlurOptions
    kinds = IMAGES
    unfit: frozenset[str] = frozenset()
    words = 1

    @staticmethod
    def apply(
        options: BlurOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Blur every sample by its own bell."""
        bells = _bells(options.sigma_px * unit(words[:, 0]), options.sigma_px).to(inputs)
        height, width = inputs.shape[-2:]
        planes = inputs.reshape(1, -1, height, width)
        each = planes.shape[1] // len(inputs)
        kernels = bells.repeat_interleave(each, 0)[:, None]
        reach = bells.shape[1] // 2
        padded = pad(planes, (reach, reach, reach, reach), "replicate")
        rows = conv2d(padded, kernels[:, :, None, :], groups=len(kernels))
        made = conv2d(rows, kernels[:, :, :, None], groups=len(kernels))
        return made.reshape(inputs.shape), targets


def _bells(sigma: Doubles, most: float) -> torch.Tensor:
    """Return Gaussian weights `[B, 2r + 1]` that sum to 1, r four times the largest deviation."""
    reach = math.ceil(4.0 * most)
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (places / np.maximum(sigma, 1e-3)[:, None]) ** 2)
    return torch.from_numpy(weights / weights.sum(1, keepdims=True))


class EraseOptions(SometimesOptions):
    """The largest share of each side that is erased, and what stands there afterwards."""

    largest: float = Field(default=0.3, gt=0.0, le=1.0)
    value: float = Field(default=0.0, ge=-1e6, le=1e6)


class Erase:
    """Erase a rectangle (in volumes a box); masks and labels stay what they were (DeVries and Taylor 2017)."""

    Options = EraseOptions
    kinds = IMAGES
    unfit: frozenset[str] = frozenset()
    words = 6

    @staticmethod
    def apply(
        options: EraseOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Erase a box of its own size and place from every sample."""
        sides = np.array(inputs.shape[2:])
        sizes = np.ceil(options.largest * unit(words[:, : len(sides)]) * sides)
        starts = np.floor(unit(words[:, 3 : 3 + len(sides)]) * (sides - sizes + 1))
        made = inputs.clone()
        for sample, first, size in zip(made, starts.astype(int), sizes.astype(int), strict=True):
            box = tuple(slice(a, a + n) for a, n in zip(first, size, strict=True))
            sample[(slice(None), *box)] = options.value
        return made, targets
