"""Vision Transformer for images and volumes (Dosovitskiy et al. 2021).

Patches become tokens, attention lets them look at each other, and the mean of all tokens is classified (Beyer et al.
2022, "Better plain ViT baselines for ImageNet-1k") instead of a token of its own. All weights lie in layers whose
gradient of one sample every engine knows; MONAI's ViT keeps two of them bare, and would run a second time for each
sample.
"""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor, nn

from common.errors import StudyError
from common.models.adapted import spatial
from common.models.attention import Encoder, LearnedPositions, require_heads
from common.models.base import ModelOptions, Width


class ViTOptions(ModelOptions):
    """Options of `vit`.

    Attributes:
        patch: side of a patch in px; it divides every side of the image.
        width: of a token.
        heads: of the attention.
        blocks: one after another.
        expansion: the inner layer of a block is so many times as wide as a token.
    """

    patch: int = Field(default=8, ge=1, le=256)
    width: Width = 64
    heads: int = Field(default=4, ge=1)
    blocks: int = Field(default=4, ge=1, le=48)
    expansion: int = Field(default=2, ge=1, le=8)


class VisionTransformer(nn.Module):
    """Patches, positions, encoder, mean, one linear layer: `[B, C, *sides]` to `[B, outputs]`."""

    def __init__(self, options: ViTOptions, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if len(shape) == 3 else nn.Conv3d
        self.patches = convolution(shape[0], options.width, options.patch, options.patch)
        tokens = math.prod(side // options.patch for side in shape[1:])
        self.positions = LearnedPositions(tokens, options.width)
        self.encoder = Encoder(options.width, options.heads, options.blocks, options.expansion)
        self.head = nn.Linear(options.width, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return `[B, outputs]`."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        outputs: Tensor = self.head(self.encoder(self.positions(tokens)).mean(1))
        return outputs


class ViT:
    """Vision Transformer."""

    Options = ViTOptions

    @staticmethod
    def build(options: ViTOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`.

        Raises:
            StudyError: the images are too small, the patches do not divide them, or the heads the width.
        """
        spatial("vit", shape, options.patch)
        require_heads(options.width, options.heads)
        if any(side % options.patch for side in shape[1:]):
            raise StudyError(
                f"Patches of {options.patch} px do not divide images of {'x'.join(map(str, shape[1:]))} px.",
                where="[model] patch",
                fix="Use a divisor of every side, or another image_size.",
            )
        return VisionTransformer(options, shape, outputs)
