"""MONAI's networks as they are, in-place operations and all; only BatchNorm is replaced."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from monai.networks import nets
from opacus.validators import ModuleValidator
from torch import nn

Compare = Callable[..., None]
GROUPS = ("group", {"num_groups": 4})

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "DenseNet121": (lambda: nets.DenseNet121(2, 1, 2, norm=GROUPS), (1, 32, 32)),
    "UNet 2D": (lambda: nets.UNet(2, 1, 2, (8, 16, 32), (2, 2), num_res_units=2), (1, 16, 16)),
    "UNet 3D": (lambda: nets.UNet(3, 1, 2, (4, 8, 16), (2, 2), num_res_units=2), (1, 8, 8, 8)),
    "BasicUNet": (lambda: nets.BasicUNet(2, 1, 2, (4, 4, 8, 8, 16, 4), norm=GROUPS), (1, 32, 32)),
    "AttentionUnet": (lambda: nets.AttentionUnet(2, 1, 2, (4, 8, 16), (2, 2)), (1, 16, 16)),
    "EfficientNet": (
        lambda: nets.EfficientNetBN("efficientnet-b0", False, True, 2, 1, 2, norm=GROUPS),
        (1, 32, 32),
    ),
    "ResNet 2D": (lambda: _resnet("basic", [8, 16], 2), (1, 64, 64)),
    "ResNet 3D": (lambda: _resnet("bottleneck", [4, 8], 3), (1, 32, 32, 32)),
}


def _resnet(block: str, widths: list[int], dimensions: int) -> nn.Module:
    return nets.ResNet(
        block, [1] * 4, widths * 2, spatial_dims=dimensions, n_input_channels=1, num_classes=2
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_monai(agrees: Compare, name: str) -> None:
    build, shape = NETWORKS[name]
    network = ModuleValidator.fix(build())
    for module in network.modules():  # what draws at random cannot be compared with a second pass
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_connect_rate"):
            module.drop_connect_rate = 0.0
    agrees(network, shape)
