"""Changes of sequences `[B, T, channels]`: jitter, amplitude, time, and parts that are hidden.

Of a forecast's window the last step stays what was measured, and its level is never scaled: the target lies on the
same scale.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field

from common.augmentations.base import SEQUENCES, SometimesOptions, Words, per_sample, spread, unit
from common.augmentations.values import Noise, NoiseOptions, Pair

NOT_FORECAST = SEQUENCES - {"series"}


class JitterOptions(NoiseOptions):
    """The largest standard deviation; every sample draws its own below it."""

    deviation: float = Field(default=0.02, gt=0.0, le=10.0)


class Jitter(Noise):
    """Add Gaussian noise to every value of a sequence."""

    Options = JitterOptions
    kinds = SEQUENCES


class ScaleOptions(SometimesOptions):
    """The largest share by which all values of a sample grow or shrink."""

    share: float = Field(default=0.1, gt=0.0, lt=1.0)


class Scale:
    """Scale the amplitude."""

    Options = ScaleOptions
    kinds = NOT_FORECAST
    unfit = frozenset({"values"})
    words = 1

    @staticmethod
    def apply(
        options: ScaleOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Scale all values of a sample alike."""
        return inputs * per_sample(1.0 + spread(words[:, 0], options.share), inputs), targets


class TimeShiftOptions(SometimesOptions):
    """The largest shift, earlier or later."""

    steps: int = Field(default=5, ge=1, le=100_000)


class TimeShift:
    """Shift in time; where the window is left, its first or last value goes on."""

    Options = TimeShiftOptions
    kinds = NOT_FORECAST
    unfit = frozenset({"values"})
    words = 1

    @staticmethod
    def apply(
        options: TimeShiftOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Shift every sample by its own number of steps."""
        length = inputs.shape[1]
        later = words[:, :1] % (2 * options.steps + 1) - options.steps
        places = np.clip(np.arange(length) - later, 0, length - 1)
        index = torch.from_numpy(places).to(inputs.device)[:, :, None].expand_as(inputs)
        return inputs.gather(1, index), targets


class MaskTimeOptions(SometimesOptions):
    """The longest share of the window that is hidden."""

    longest: float = Field(default=0.1, gt=0.0, lt=1.0)


class MaskTime:
    """Hide a stretch of all channels, never the last step; 0, the middle of the range, stands there."""

    Options = MaskTimeOptions
    kinds = SEQUENCES
    unfit: frozenset[str] = frozenset()
    words = 2

    @staticmethod
    def apply(
        options: MaskTimeOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Hide a stretch of its own length and place in every sample."""
        before_last = inputs.shape[1] - 1
        lengths = np.ceil(options.longest * unit(words[:, 0]) * before_last)
        starts = np.floor(unit(words[:, 1]) * (before_last - lengths + 1))
        steps = np.arange(inputs.shape[1])
        hidden = (steps >= starts[:, None]) & (steps < (starts + lengths)[:, None])
        return inputs.masked_fill(
            torch.from_numpy(hidden).to(inputs.device)[:, :, None], 0
        ), targets


class MaskChannel:
    """Hide one channel, as if its electrode had come off; a sequence of one channel stays as it is."""

    Options = SometimesOptions
    kinds = NOT_FORECAST
    unfit: frozenset[str] = frozenset()
    words = 1

    @staticmethod
    def apply(
        options: SometimesOptions, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> Pair:
        """Hide one channel of every sample."""
        channels = inputs.shape[2]
        if channels < 2:
            return inputs, targets
        hidden = np.arange(channels) == words[:, :1] % channels
        return inputs.masked_fill(
            torch.from_numpy(hidden).to(inputs.device)[:, None, :], 0
        ), targets
