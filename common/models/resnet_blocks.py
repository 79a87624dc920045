"""MONAI's residual blocks with an addition that overwrites nothing, which the hooks of Opacus cannot follow."""

from __future__ import annotations

from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck
from torch import Tensor


class Block(ResNetBlock):
    """Two 3 × 3 convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with what the convolutions add to it."""
        out = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        added: Tensor = self.act(out + (x if self.downsample is None else self.downsample(x)))
        return added


class Bottleneck(ResNetBottleneck):
    """A 1 × 1, a 3 × 3 and a 1 × 1 convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with what the convolutions add to it."""
        narrow = self.act(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.act(self.bn2(self.conv2(narrow)))))
        added: Tensor = self.act(out + (x if self.downsample is None else self.downsample(x)))
        return added


BLOCKS: dict[str, type[ResNetBlock] | type[ResNetBottleneck]] = {
    "basic": Block,
    "bottleneck": Bottleneck,
}
