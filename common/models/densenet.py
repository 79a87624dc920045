"""DenseNet, whose layers see the maps of all layers before them (Huang et al. 2017).

With the default blocks it is DenseNet-121, the network of CheXNet (Rajpurkar et al. 2017), on GroupNorm.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field
from torch import nn

from common.later import LATER
from common.models.adapted import Norm, fitted, spatial
from common.models.base import ModelOptions, Width

LARGE_STEM = 4
"""How much the first layers of the original shrink an image before the first block."""


_THEIRS = re.compile(r"(denselayer\d+)\.(norm|conv)\.?([12])\.")
"""A layer of a block as torchvision names it: `denselayer1.norm1.weight`, and `norm.1` in its files of old."""


class DenseNetOptions(ModelOptions):
    """Options of `densenet`.

    Attributes:
        blocks: layers of the dense blocks; `[6, 12, 24, 16]` is DenseNet-121, `[6, 12, 32, 32]` DenseNet-169.
        growth: maps that every layer adds.
        features: maps of the first convolution.
        stem: "large" shrinks images to a quarter before the first block, as the original does for 224 px; "small"
            leaves them as they are, for images of some 32 px.
        groups: of every GroupNorm, at most.
        norm: "group", or "fixed": the constants of a checkpoint that was trained with BatchNorm.
    """

    blocks: tuple[int, ...] = Field(default=(6, 12, 24, 16), min_length=1, max_length=5)
    growth: Width = 32
    features: Width = 64
    stem: Literal["large", "small"] = "large"
    groups: int = Field(default=8, ge=1)
    norm: Norm = Field(default="group", json_schema_extra=LATER)


class DenseNet:
    """MONAI's DenseNet for images and volumes."""

    Options = DenseNetOptions

    @staticmethod
    def build(options: DenseNetOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`.

        Raises:
            StudyError: the images are too small.
        """
        from monai.networks.nets.densenet import DenseNet as Monai

        shrink = LARGE_STEM if options.stem == "large" else 1
        dimensions = spatial("densenet", shape, shrink * 2 ** (len(options.blocks) - 1))
        network = Monai(
            spatial_dims=dimensions,
            in_channels=shape[0],
            out_channels=outputs,
            init_features=options.features,
            growth_rate=options.growth,
            block_config=options.blocks,
        )
        if options.stem == "small":
            convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
            network.features.conv0 = convolution(
                shape[0], options.features, 3, padding=1, bias=False
            )
            network.features.pool0 = nn.Identity()
        return fitted(network, options.groups, options.norm)

    @staticmethod
    def translated(name: str) -> str:
        """Return what a tensor of torchvision's DenseNet is called here; other names stay."""
        ours = _THEIRS.sub(r"\1.layers.\2\3.", name)
        head = ours.startswith("classifier.")
        return f"class_layers.out.{ours.removeprefix('classifier.')}" if head else ours
