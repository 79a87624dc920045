"""EfficientNet: depthwise convolutions, scaled in width and depth together (Tan and Le 2019), on GroupNorm.

The original's dropout and drop-connect are left out: they draw random numbers in the forward pass.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from common.later import LATER
from common.models.adapted import Norm, fitted, spatial
from common.models.base import ModelOptions

STAGES = (
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s22_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s22_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
)
"""Table 1 of the paper: repeats, kernel, stride, expansion, maps in and out, squeeze-and-excitation."""

Size = Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"]


class EfficientNetOptions(ModelOptions):
    """Options of `efficientnet`.

    Attributes:
        size: "b0" to "b7".
        width: multiplies the maps of that size.
        depth: multiplies the blocks of that size.
        stages: of the seven stages, the first so many.
        groups: of every GroupNorm, at most.
        norm: "group", or "fixed": the constants of a checkpoint that was trained with BatchNorm.
    """

    size: Size = "b0"
    width: float = Field(default=1.0, gt=0, le=4)
    depth: float = Field(default=1.0, gt=0, le=4)
    stages: int = Field(default=7, ge=1, le=7)
    groups: int = Field(default=8, ge=1)
    norm: Norm = Field(default="group", json_schema_extra=LATER)


class EfficientNet:
    """MONAI's EfficientNet for images and volumes."""

    Options = EfficientNetOptions

    @staticmethod
    def build(options: EfficientNetOptions, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the network for images `(C, H, W)` or volumes `(C, D, H, W)`.

        Raises:
            StudyError: the images are too small.
        """
        from monai.networks.nets.efficientnet import EfficientNet as Monai
        from monai.networks.nets.efficientnet import efficientnet_params

        width, depth, *_ = efficientnet_params[f"efficientnet-{options.size}"]
        network = Monai(
            blocks_args_str=list(STAGES[: options.stages]),
            spatial_dims=spatial("efficientnet", shape, 2),
            in_channels=shape[0],
            num_classes=outputs,
            width_coefficient=width * options.width,
            depth_coefficient=depth * options.depth,
            dropout_rate=0.0,
            image_size=max(shape[1:]),
            drop_connect_rate=0.0,
        )
        network.set_swish(memory_efficient=False)  # the other keeps its input in a way of its own
        return fitted(network, options.groups, options.norm)
