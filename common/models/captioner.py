"""A network that writes a short report: a CNN reads the image, and a small decoder says what word follows which.

The strongest answer of every filter in every region of the image makes one state. Which word follows is decided from
that state, the place in the report and the word before, for all words of the vocabulary at once: the network gives,
from the image alone, a table of the next word for every place and every word that may stand before it. This is the
locally normalised chain of McCallum et al. (2000, "Maximum entropy Markov models for information extraction and
segmentation") on a deep network, as in Sun et al. (2019, "Fast structured decoding for sequence models").

Teacher forcing is then a matter of the loss, which reads the table at the true word before, and writing a matter of the
task, which follows its own words through the table. The network never sees a report, so one forward pass serves
training, evaluation, prediction and export, and the gradient of one report is that of one image.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from common.errors import StudyError
from common.models.base import ModelOptions, Width, require_rank
from common.models.compact_cnn import MAPS, GaussianDerivatives

MOST_VALUES = 1 << 18
"""Of one report's table; 1 MiB."""


class CaptionerOptions(ModelOptions):
    """Options of `captioner`.

    Attributes:
        report_words: places of the report, as in `[data] report_words`.
        scales: standard deviations in pixels of fixed filters that come first; none: all layers are learned.
        reduce: average-pool the filters' maps by this factor.
        channels: of the learned convolutions, each followed by GroupNorm and halved in both directions.
        groups: of every GroupNorm.
        width: filters whose strongest answers are taken.
        regions: along each side of the image, about; in each of them the filters answer by themselves.
        hidden: units of the decoder.
    """

    report_words: int = Field(default=12, ge=1, le=64)
    scales: tuple[float, ...] = (0.7, 1.4)
    reduce: int = Field(default=2, ge=1)
    channels: tuple[Width, ...] = Field(default=(16, 16), min_length=1)
    groups: int = Field(default=4, ge=1)
    width: Width = 16
    regions: int = Field(default=4, ge=1, le=64)
    hidden: Width = 48


class Captioner(nn.Module):
    """Maps images `[B, C, H, W]` to log odds `[B, places, words, words]`: of the next word, after each word."""

    def __init__(self, options: CaptionerOptions, shape: tuple[int, ...], words: int) -> None:
        super().__init__()
        self.places, self.words = options.report_words, words
        self.look, features = _look(options, shape)
        self.state = nn.Linear(features, options.hidden)
        self.place = nn.Embedding(self.places, options.hidden)
        self.before = nn.Embedding(words, options.hidden)
        self.mix = nn.Linear(options.hidden, options.hidden)
        self.after = nn.Linear(options.hidden, words)

    def forward(self, images: Tensor) -> Tensor:
        """Return the table of next words."""
        state = self.state(self.look(images))
        places = self.place(_numbers(self.places, images))
        before = self.before(_numbers(self.words, images))
        met = functional.gelu(state[:, None, None] + places[:, :, None] + before[:, None])
        table: Tensor = self.after(met + functional.gelu(self.mix(met)))
        return table


def _numbers(count: int, images: Tensor) -> Tensor:
    """Return 0, 1, … for every image, so that what is looked up there has a gradient for each."""
    return torch.arange(count, device=images.device).expand(images.shape[0], -1)


class CaptionerFamily:
    """CNN and a decoder of one word after another."""

    Options = CaptionerOptions

    @staticmethod
    def build(options: CaptionerOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` and `outputs` words, the end among them.

        Raises:
            StudyError: the images are too small, the tables too large, or groups do not divide channels.
        """
        require_rank("captioner", shape, 3, "images")
        _check(options, shape, outputs)
        return Captioner(options, shape, outputs)


def _look(options: CaptionerOptions, shape: tuple[int, ...]) -> tuple[nn.Module, int]:
    """Return the layers from images to features `[B, F]`, and F."""
    layers: list[nn.Module] = []
    depth, sides = shape[0], shape[1:]
    if options.scales:
        depth *= MAPS * len(options.scales)
        layers += [GaussianDerivatives(options.scales), nn.AvgPool2d(options.reduce)]
        layers.append(nn.GroupNorm(depth, depth, affine=False))
        sides = tuple(side // options.reduce for side in sides)
    for channels in options.channels:
        layers += [nn.Conv2d(depth, channels, 3, padding=1), nn.GroupNorm(options.groups, channels)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        depth, sides = channels, tuple(side // 2 for side in sides)
    region = tuple(max(1, side // options.regions) for side in sides)
    layers += [nn.Conv2d(depth, options.width, 1), nn.MaxPool2d(region), nn.Flatten()]
    found = math.prod(side // step for side, step in zip(sides, region, strict=True))
    return nn.Sequential(*layers), options.width * found


def _check(options: CaptionerOptions, shape: tuple[int, ...], words: int) -> None:
    if any(not 0.3 <= scale <= 32.0 for scale in options.scales):
        raise StudyError("Scales lie between 0.3 and 32 pixels.", where="[model] scales")
    if any(channels % options.groups for channels in options.channels):
        raise StudyError(
            f"{options.groups} groups do not divide channels {list(options.channels)}.",
            where="[model] groups",
            fix="Use channels that are multiples of groups.",
        )
    least = (options.reduce if options.scales else 1) * 2 ** len(options.channels)
    if min(shape[1:]) < least:
        raise StudyError(
            f"Images of {shape[1]}x{shape[2]} px are too small for this network.",
            where="[data] image_size",
            fix=f"Use at least {least} px.",
        )
    if options.report_words * words**2 > MOST_VALUES:
        raise StudyError(
            f"Reports of {options.report_words} places with {words} words are too large for this network.",
            where="[data] vocabulary",
            fix=f"Keep report_words times the square of the words below {MOST_VALUES}.",
        )
