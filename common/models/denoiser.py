"""The network of image synthesis: a small U-Net that is told how much noise an image has, and its class."""

from __future__ import annotations

import math

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from common.errors import StudyError
from common.models.base import ModelOptions, Width, require_rank
from common.models.waves import Whole

FREQUENCIES = 6
TOLD = 2
"""Channels beside the image: time and class number (`common.diffusion.conditioned`)."""


class DenoiserOptions(ModelOptions):
    """Options of `denoiser`.

    Attributes:
        channels: of every level, from the full size down; each level halves the size.
        groups: of every GroupNorm; divides all channels.
        embedding: width of what the layers are told of time and class.
        waves: so many of the lowest frequencies each way, in which the image is also seen as a whole; 0: none.
    """

    channels: tuple[Width, ...] = Field(default=(16, 32), min_length=1, max_length=6)
    groups: int = Field(default=4, ge=1)
    embedding: Width = 32
    waves: int = Field(default=0, ge=0, le=32)

    @model_validator(mode="after")
    def _divided(self) -> DenoiserOptions:
        if any(width % self.groups for width in self.channels):
            raise ValueError(f"{self.groups} groups do not divide channels {list(self.channels)}")
        return self


class Denoiser:
    """U-Net of residual blocks that are scaled and shifted by time and class (Ho et al. 2020; Perez et al. 2018).

    Attributes:
        denoises: what the task of image synthesis asks of a model: it takes conditioned images and answers with v.
    """

    Options = DenoiserOptions
    denoises = True

    @staticmethod
    def build(options: DenoiserOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network from `[B, C + 2, H, W]` to `[B, outputs, H, W]` for images `(C, H, W)`.

        Raises:
            StudyError: no images, sides that cannot be halved so often, or a task that asks for something else.
        """
        require_rank("denoiser", shape, 3, "images")
        if outputs != shape[0]:
            raise StudyError(
                f"Model 'denoiser' answers with images of {shape[0]} channels; the task wants {outputs} outputs.",
                where="[task] name and [model] name",
                fix="Use task 'synthesis', or another model.",
            )
        step = 2 ** (len(options.channels) - 1)
        if any(side % step or side < 2 * step for side in shape[1:]):
            raise StudyError(
                f"Images of {shape[1]}x{shape[2]} px cannot be halved {len(options.channels) - 1} times.",
                where="[data] image_size",
                fix=f"Use multiples of {step} px from {2 * step} on, or fewer levels.",
            )
        if options.waves > min(shape[1:]):
            raise StudyError(
                f"Images of {shape[1]}x{shape[2]} px do not have {options.waves} frequencies each way.",
                where="[model] waves",
                fix=f"Use {min(shape[1:])} or fewer.",
            )
        return DenoiserNet(options, shape)


class DenoiserNet(nn.Module):
    """The network of `Denoiser`."""

    def __init__(self, options: DenoiserOptions, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels = shape[0]
        widths, told = options.channels, options.embedding
        self.told = nn.Linear(4 * FREQUENCIES, told)
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        before = (widths[0], *widths[:-1])
        self.down = nn.ModuleList(
            Block(a, b, told, options.groups) for a, b in zip(before, widths, strict=True)
        )
        self.middle = Block(widths[-1], widths[-1], told, options.groups)
        self.up = nn.ModuleList(
            Block(2 * b, a, told, options.groups) for a, b in zip(before, widths, strict=True)
        )
        self.norm = nn.GroupNorm(options.groups, widths[0])
        self.last = nn.Conv2d(widths[0], channels, 3, padding=1)
        self.whole = Whole(shape, options.waves, told) if options.waves else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return v of conditioned images `[B, C + 2, H, W]`."""
        self._require(inputs)
        told = functional.silu(self.told(_features(inputs[:, self.channels :, 0, 0])))
        state = self.first(inputs[:, : self.channels])
        kept: list[Tensor] = []
        for number, block in enumerate(self.down):
            state = block(functional.avg_pool2d(state, 2) if number else state, told)
            kept.append(state)
        state = self.middle(state, told)
        for number in reversed(range(len(self.up))):
            state = self.up[number](torch.cat([state, kept[number]], 1), told)
            if number:
                state = functional.interpolate(state, scale_factor=2.0, mode="nearest")
        result: Tensor = self.last(functional.silu(self.norm(state)))
        if self.whole is not None:
            result = result + self.whole(inputs[:, : self.channels], told)
        return result

    def _require(self, inputs: Tensor) -> None:
        if inputs.shape[1] != self.channels + TOLD:
            raise StudyError(
                "The network of image synthesis takes noisy images with their time and class, not images alone.",
                where="[task] name",
                fix="Draw new images with `consilium sample`.",
            )


class Block(nn.Module):
    """Two convolutions beside a shortcut; the first is scaled and shifted by what is told."""

    def __init__(self, width: int, outputs: int, told: int, groups: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(groups, outputs)
        self.change = nn.Linear(told, 2 * outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(width, outputs, 1)

    def forward(self, state: Tensor, told: Tensor) -> Tensor:
        """Return `[B, outputs, H, W]` for `[B, width, H, W]` and what is told, `[B, told]`."""
        scale, shift = self.change(told)[:, :, None, None].chunk(2, 1)
        inner = functional.silu((1 + scale) * self.norm(self.first(state)) + shift)
        result: Tensor = self.shortcut(state) + self.second(inner)
        return result


def _features(told: Tensor) -> Tensor:
    """Return sines and cosines of time and class number, `[B, 4F]`; no number of classes need be known."""
    rates = math.pi / 2 * 2.0 ** torch.arange(FREQUENCIES, device=told.device, dtype=told.dtype)
    waves = told[:, :, None] * rates / told.new_tensor([1.0, 8.0])[:, None]
    return torch.cat([waves.sin(), waves.cos()], 2).flatten(1)
