"""What a gradient engine must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

LossPerSample = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class UnitBatch:
    """Samples of whole units of privacy: no unit straddles two batches.

    Attributes:
        inputs: `[B, ...]`.
        targets: `[B, ...]`.
        unit: `[B]`, which unit, 0 … units − 1, a sample belongs to.
        units: how many units there are.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    unit: torch.Tensor
    units: int


class GradientEngine(Protocol):
    """Computes the sum of per-unit gradients, each clipped to an L2 norm.

    Attributes:
        module: the network to train; its parameters have the order and names of the network it was made from.
    """

    module: nn.Module

    def clipped_sum(
        self, batch: UnitBatch, loss: LossPerSample, clip_norm: float
    ) -> list[torch.Tensor]:
        """Return, for every trainable parameter, the sum over units of the clipped gradient of the unit's mean loss.

        Adding or removing one unit changes the concatenated result by at most `clip_norm` in L2 norm.
        """
        ...
