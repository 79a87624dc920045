"""Fits networks of MONAI to private training: GroupNorm for BatchNorm, no dropout, nothing done in place.

BatchNorm mixes the patients of a batch, so that no patient has a gradient of its own. GroupNorm (Wu and He 2018) looks
at one sample only, and is what Opacus puts in its place as well. Dropout draws random numbers in the forward pass, so
two passes over one sample would not agree. Activations that overwrite their input would change what the engines keep.

A checkpoint that was trained with BatchNorm brings means and variances of its own. As constants they mix nobody, and
the network computes what it computed there.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from common.errors import StudyError

LEAST_IN_A_GROUP = 4
"""Channels; a group of one channel and one pixel would be normalised to nothing."""


Norm = Literal["group", "fixed"]
"""What stands in the place of BatchNorm."""


class FixedNorm(nn.Module):
    """BatchNorm as it is in use: a scale and a shift of every channel by constants of a checkpoint; nothing is learned.

    The constants have the names that they have in BatchNorm. They are frozen parameters, not buffers: what is frozen
    does not travel.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        ones, zeros = torch.ones(channels), torch.zeros(channels)
        self.weight, self.running_var = _constant(ones), _constant(ones)
        self.bias, self.running_mean = _constant(zeros), _constant(zeros)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps `[B, C, ...]` of the same shape."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        sides = (1, -1, *(1,) * (maps.ndim - 2))
        return maps * scale.view(sides) + shift.view(sides)


def _constant(values: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(values.clone(), requires_grad=False)


def fitted(network: nn.Module, groups: int, norm: Norm = "group") -> nn.Module:
    """Change a network's normalisation, dropout and activations, and return it.

    Args:
        network: with BatchNorm, freshly initialised.
        groups: of every GroupNorm, at most; fewer where the channels ask for it.
        norm: "group", or "fixed": the constants of a checkpoint.
    """
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, _replaced(child, groups, norm))
            elif isinstance(child, _DropoutNd):
                setattr(module, name, nn.Identity())
    return network


def _replaced(batch_norm: _BatchNorm, groups: int, norm: Norm) -> nn.Module:
    channels = batch_norm.num_features
    if norm == "fixed":
        return FixedNorm(channels, batch_norm.eps)
    return nn.GroupNorm(groups_of(channels, groups), channels)


def groups_of(channels: int, most: int) -> int:
    """Return the largest number of groups that divides the channels and leaves enough in each."""
    limit = max(1, min(most, channels // LEAST_IN_A_GROUP))
    return next(count for count in range(limit, 0, -1) if channels % count == 0)


def spatial(family: str, shape: tuple[int, ...], least: int) -> int:
    """Return 2 for images `(C, H, W)` and 3 for volumes `(C, D, H, W)`.

    Raises:
        StudyError: the samples are neither, or a side is shorter than `least` px.
    """
    if len(shape) not in (3, 4):
        raise StudyError(
            f"Model '{family}' takes images or volumes, but the study's data have sample shape {shape}.",
            where="[model] name",
            fix="Choose a model made for this kind of data.",
        )
    if min(shape[1:]) < least:
        sides = "x".join(map(str, shape[1:]))
        raise StudyError(
            f"Images of {sides} px are too small for '{family}'.",
            where="[data] image_size",
            fix=f"Use at least {least} px a side, or a smaller model.",
        )
    return len(shape) - 1
