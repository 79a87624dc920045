"""U-Nets of MONAI, in two and three dimensions: from an image to a map of the structures in it.

MONAI builds them; here they are given norms that keep every sample to itself (no BatchNorm) and no dropout.
"""

from __future__ import annotations

import contextlib
import io

from pydantic import Field, model_validator
from torch import nn

from common.errors import StudyError
from common.models.base import ModelOptions, Width


class UNetOptions(ModelOptions):
    """Options of `unet`.

    Attributes:
        channels: of every level, from the full size down; each level halves the size.
        residual_units: convolutions in the residual unit of a level; 0: one plain convolution.
    """

    channels: tuple[Width, ...] = Field(default=(8, 16, 32), min_length=2, max_length=7)
    residual_units: int = Field(default=0, ge=0, le=4)


class AttentionOptions(ModelOptions):
    """Options of `attention-unet`.

    Attributes:
        channels: of every level, from the full size down; each level halves the size.
        groups: of every GroupNorm, at most; fewer where a layer has fewer channels.
    """

    channels: tuple[Width, ...] = Field(default=(8, 16, 32), min_length=2, max_length=7)
    groups: int = Field(default=4, ge=1)


class BasicOptions(ModelOptions):
    """Options of `basic-unet`.

    Attributes:
        features: channels of the five levels, from the full size down, and of the last layer.
        groups: of every GroupNorm; divides all of them.
    """

    features: tuple[Width, ...] = Field(default=(8, 8, 16, 32, 64, 8), min_length=6, max_length=6)
    groups: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _divided(self) -> BasicOptions:
        if any(width % self.groups for width in self.features):
            raise ValueError(f"{self.groups} groups do not divide features {list(self.features)}")
        return self


class UNet:
    """U-Net with strided convolutions and residual units (Ronneberger et al. 2015; Kerfoot et al. 2018)."""

    Options = UNetOptions

    @staticmethod
    def build(options: UNetOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`; outputs have the same size.

        Instance norm is without weights: the outputs of the last level are too few for groups.

        Raises:
            StudyError: the sides are not multiples of what the levels need.
        """
        from monai.networks.nets.unet import UNet as Network

        dimensions = _dimensions("unet", shape, halvings=len(options.channels) - 1)
        return Network(
            dimensions,
            shape[0],
            outputs,
            options.channels,
            (2,) * (len(options.channels) - 1),
            num_res_units=options.residual_units,
            norm="instance",
        )


class AttentionUNet:
    """U-Net whose skip connections are gated by attention (Oktay et al. 2018)."""

    Options = AttentionOptions

    @staticmethod
    def build(options: AttentionOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`; outputs have the same size.

        Raises:
            StudyError: the sides are not multiples of what the levels need.
        """
        from monai.networks.nets.attentionunet import AttentionUnet as Network

        dimensions = _dimensions("attention-unet", shape, halvings=len(options.channels) - 1)
        strides = (2,) * (len(options.channels) - 1)
        network = Network(dimensions, shape[0], outputs, options.channels, strides)
        _replace_batch_norms(network, options.groups)
        return network


class BasicUNet:
    """U-Net of five levels with two convolutions each (Falk et al. 2019)."""

    Options = BasicOptions

    @staticmethod
    def build(options: BasicOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`; outputs have the same size.

        Raises:
            StudyError: the sides are not multiples of 16.
        """
        from monai.networks.nets.basic_unet import BasicUNet as Network

        dimensions = _dimensions("basic-unet", shape, halvings=4)
        norm = ("group", {"num_groups": options.groups})
        act = ("leakyrelu", {"negative_slope": 0.1, "inplace": False})  # Opacus' hooks need copies
        with contextlib.redirect_stdout(io.StringIO()):  # MONAI prints the features of every one
            return Network(dimensions, shape[0], outputs, options.features, act=act, norm=norm)


def _dimensions(family: str, shape: tuple[int, ...], halvings: int) -> int:
    """Return 2 for images and 3 for volumes, after checking that every halving of a side is even.

    Raises:
        StudyError: neither, or a side does not fit.
    """
    if len(shape) not in (3, 4):
        raise StudyError(
            f"Model '{family}' takes images or volumes, but the study's data have sample shape {shape}.",
            where="[model] name",
            fix="Choose a model made for this kind of data.",
        )
    step = 2**halvings
    if any(side % step or side < 2 * step for side in shape[1:]):
        raise StudyError(
            f"Images of {'x'.join(map(str, shape[1:]))} px cannot be halved {halvings} times.",
            where="[data] image_size",
            fix=f"Use multiples of {step} px from {2 * step} on, or fewer levels.",
        )
    return len(shape) - 1


def _replace_batch_norms(network: nn.Module, groups: int) -> None:
    """Put a GroupNorm in the place of every BatchNorm, which would mix patients."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d | nn.BatchNorm3d):
                width = child.num_features
                own = next(g for g in range(min(groups, width), 0, -1) if width % g == 0)
                setattr(module, name, nn.GroupNorm(own, width))
