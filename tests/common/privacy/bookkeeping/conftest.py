"""What the tests of the book-keeping engine share: a comparison with plain autograd, one unit at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from common.privacy.bookkeeping.engine import BookkeepingEngine
from common.privacy.clipping import Clipping
from common.privacy.engine import UnitBatch

Compare = Callable[..., None]
CLIP = 0.5
COUNTS = ([1, 1, 1], [2, 2], [1, 3, 2])


def squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().flatten(1).mean(1)


def one_by_one(network: nn.Module, batch: UnitBatch, clip: float) -> list[torch.Tensor]:
    """The sum over units of plain autograd's gradient, clipped."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in parameters]
    for unit in range(batch.units):
        own = batch.unit == unit
        loss = squared(network(batch.inputs[own]), batch.targets[own]).mean()
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        parts = [
            torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)
        ]
        norm = torch.stack([part.double().square().sum() for part in parts]).sum().sqrt()
        for sum_, part in zip(total, parts, strict=True):
            sum_ += part * min(1.0, float(clip / norm))
    return total


@pytest.fixture
def agrees() -> Compare:
    """Check that the engine gives what autograd gives, for units of equal and of unequal sizes.

    In float64, where two ways of rounding cannot fall on two sides of a ReLU.
    """

    def check(network: nn.Module, shape: tuple[int, ...], vocabulary: int | None = None) -> None:
        torch.manual_seed(3)
        network.double()
        engine = BookkeepingEngine(network)
        for counts in COUNTS:
            unit = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
            inputs = torch.randn(len(unit), *shape, dtype=torch.float64)
            if vocabulary:
                inputs = torch.randint(0, vocabulary, (len(unit), *shape))
            targets = torch.randn_like(network(inputs).detach())
            batch = UnitBatch(inputs, targets, unit, len(counts))
            engine.footprint(inputs[0])
            found = engine.clipped_sum(batch, squared, Clipping(CLIP))
            expected = one_by_one(network, batch, CLIP)
            assert _distance(found, expected) <= 2e-6 * _distance(expected)
        engine.release()

    return check


def _distance(a: list[torch.Tensor], b: list[torch.Tensor] | None = None) -> float:
    parts = a if b is None else [one - other for one, other in zip(a, b, strict=True)]
    return float(
        torch.stack([part.detach().double().square().sum() for part in parts]).sum().sqrt()
    )
