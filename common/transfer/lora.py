"""Low-rank adaptation: a frozen layer and a small trained change of it.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models". Under differential privacy the noise grows with
the number of trained weights, and a rank of a few trains a hundredth of a large layer's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from common.errors import StudyError
from common.transfer.fitting import matching

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


class Adapted(nn.Module):
    """`base(x) + up(down(x))`; `up` starts at zero, so that an untrained change is none."""

    def __init__(self, base: nn.Module, down: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down, self.up = down, up
        nn.init.zeros_(up.weight)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the adapted layer's output, of the same shape as the layer's own."""
        changed: torch.Tensor = self.base(x) + self.up(self.down(x))
        return changed


def adapt(network: nn.Module, rank: int, patterns: tuple[str, ...]) -> None:
    """Replace layers by adapted ones.

    Args:
        network: changed in place.
        rank: of the changes.
        patterns: names of the layers.

    Raises:
        StudyError: no layer fits, or a layer can not be adapted.
    """
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Linear | Convolution)}
    for name in matching(layers, patterns, "lora_layers"):
        parent_name, _, last = name.rpartition(".")
        parent = network.get_submodule(parent_name)
        if isinstance(parent, nn.MultiheadAttention):
            raise StudyError(
                f"Layer '{name}' belongs to an attention layer that reads its weights itself.",
                where="[transfer] lora_layers",
                fix="Name the other linear layers.",
            )
        setattr(parent, last, _adapted(layers[name], rank))


def _adapted(layer: nn.Linear | Convolution, rank: int) -> Adapted:
    if isinstance(layer, nn.Linear):
        down = nn.Linear(layer.in_features, rank, bias=False)
        return Adapted(layer, down, nn.Linear(rank, layer.out_features, bias=False))
    kind: Any = type(layer)
    narrow = kind(
        layer.in_channels,
        rank,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        bias=False,
    )
    return Adapted(layer, narrow, kind(rank, layer.out_channels, 1, bias=False))
