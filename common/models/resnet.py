"""ResNet: blocks that learn what to add to their input (He et al. 2016), on GroupNorm."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from common.later import LATER
from common.models.adapted import Norm, fitted, spatial
from common.models.base import ModelOptions, Width

LEAST = {"large": 8, "small": 2}
"""Shortest side in px: the blocks themselves take what is left of an image, down to one pixel."""


class ResNetOptions(ModelOptions):
    """Options of `resnet`.

    Attributes:
        layers: blocks of the four stages; `[2, 2, 2, 2]` is ResNet-18, `[3, 4, 6, 3]` ResNet-34, and ResNet-50 with
            `block = "bottleneck"`.
        channels: maps of the four stages.
        block: two 3 × 3 convolutions, or a bottleneck of three that quadruples the maps.
        stem: "large" shrinks images to a quarter before the first stage, as the original does for 224 px; "small"
            leaves them as they are, for images of some 32 px.
        groups: of every GroupNorm, at most.
        norm: "group", or "fixed": the constants of a checkpoint that was trained with BatchNorm.
    """

    layers: tuple[int, int, int, int] = (2, 2, 2, 2)
    channels: tuple[Width, Width, Width, Width] = (64, 128, 256, 512)
    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["large", "small"] = "large"
    groups: int = Field(default=8, ge=1)
    norm: Norm = Field(default="group", json_schema_extra=LATER)


class ResNet:
    """MONAI's ResNet for images and volumes."""

    Options = ResNetOptions

    @staticmethod
    def build(options: ResNetOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`.

        Raises:
            StudyError: the images are too small.
        """
        from monai.networks.nets.resnet import ResNet as Monai

        from common.models.resnet_blocks import BLOCKS

        large = options.stem == "large"
        network = Monai(
            block=BLOCKS[options.block],
            layers=list(options.layers),
            block_inplanes=list(options.channels),
            spatial_dims=spatial("resnet", shape, LEAST[options.stem]),
            n_input_channels=shape[0],
            conv1_t_size=7 if large else 3,
            conv1_t_stride=2 if large else 1,
            no_max_pool=not large,
            num_classes=outputs,
            bias_downsample=False,
        )
        return fitted(network, options.groups, options.norm)
