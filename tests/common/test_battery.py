"""The battery sees what it is there to see."""

from __future__ import annotations

import pytest
import torch
from battery import check_device
from torch import Tensor, nn

from common.privacy.engine import UnitBatch

BATCH = UnitBatch(torch.ones(3, 4), torch.zeros(3, dtype=torch.long), torch.arange(3), 3)


class Times(nn.Module):
    """Multiplies by weights, which it makes where it is told."""

    def __init__(self, device: str | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 2))
        self._device = device

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [batch, 2]."""
        weights = torch.ones(2, 2, device=self._device or inputs.device)
        return inputs @ self.weight @ weights


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def test_a_tensor_made_on_the_processor_is_seen_without_a_gpu() -> None:
    check_device(Times(None), loss, BATCH)
    with pytest.raises(AssertionError, match="mixes"):
        check_device(Times("cpu"), loss, BATCH)
