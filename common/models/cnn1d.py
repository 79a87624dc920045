"""Convolutions over a signal of one or many leads, for ECG, EEG and the like."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from common.errors import StudyError
from common.models.base import Width, require_rank
from common.models.series import SeriesNetwork, SeriesOptions


class SignalOptions(SeriesOptions):
    """Options of the convolutions of `cnn-1d` and `cnn-lstm`.

    Attributes:
        channels: output channels of the convolutions; each is followed by GroupNorm, ReLU and pooling.
        kernel_size: taps of every convolution; odd, so that what goes in and what comes out have one length.
        pool: steps that become one after each convolution.
    """

    channels: tuple[Width, ...] = Field(default=(16, 32, 32), min_length=1)
    kernel_size: int = Field(default=7, ge=1, le=101)
    pool: int = Field(default=2, ge=1, le=64)


class CNN1DOptions(SignalOptions):
    """Options of `cnn-1d`: those of its convolutions, see `SignalOptions`."""


def convolutions(family: str, options: SignalOptions, shape: tuple[int, ...]) -> nn.Sequential:
    """Return the blocks of convolution, GroupNorm, ReLU and pooling for signals `(T, leads)`: `[B, leads, T]` to maps.

    Raises:
        StudyError: the data are no signals, the kernel is even, or the windows are too short.
    """
    require_rank(family, shape, 2, "series or signals")
    _check(options, shape)
    layers: list[nn.Module] = []
    depth = options.width_of(shape)
    for width in options.channels:
        layers.append(nn.Conv1d(depth, width, options.kernel_size, padding="same"))
        layers += [nn.GroupNorm(math.gcd(4, width), width), nn.ReLU(), nn.MaxPool1d(options.pool)]
        depth = width
    return nn.Sequential(*layers)


class PooledMaps(nn.Module):
    """Maps of a signal, each pooled to its mean and its maximum: `[B, T, leads]` to `[B, 2 channels]`."""

    def __init__(self, maps: nn.Module) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, signals: Tensor) -> Tensor:
        """Return the pooled features."""
        maps = self.maps(signals.transpose(1, 2))
        return torch.cat([maps.mean(2), maps.amax(2)], 1)


class CNN1D:
    """Convolutions over time, global pooling, one linear layer."""

    Options = CNN1DOptions

    @staticmethod
    def build(options: CNN1DOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for signals `(T, leads)`; see `convolutions` for what it refuses."""
        encoder = PooledMaps(convolutions("cnn-1d", options, shape))
        return SeriesNetwork(encoder, 2 * options.channels[-1], outputs, options.residual)


def _check(options: SignalOptions, shape: tuple[int, ...]) -> None:
    if options.kernel_size % 2 == 0:
        raise StudyError(
            f"A kernel of {options.kernel_size} taps has no middle.",
            where="[model] kernel_size",
            fix="Use an odd number.",
        )
    least = options.pool ** len(options.channels)
    if shape[0] < least:
        raise StudyError(
            f"Windows of {shape[0]} steps are too short for {len(options.channels)} poolings by {options.pool}.",
            where="[data]",
            fix=f"Use windows of at least {least} steps, or fewer channels.",
        )
