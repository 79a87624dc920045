"""What must hold for every model with every task: each patient by plain autograd, and the engines beside it."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from common.models import build_model
from common.privacy.clipping import Clipping
from common.privacy.engine import LossPerSample, UnitBatch
from common.privacy.engines import Name, make_engine
from common.study import Study
from common.tasks import build_task

ENGINES: tuple[Name, ...] = ("bookkeeping", "hooks")
UNIT = torch.tensor([0, 2, 1, 2, 2, 3, 0])
"""Seven samples of four patients, not in order."""

Gradients = dict[str, torch.Tensor]


def check_private(
    study: Study,
    targets: torch.Tensor,
    *,
    inputs: torch.Tensor | None = None,
    engines: tuple[Name, ...] = ENGINES,
    tolerance: float = 1e-5,
) -> None:
    """Check that clipped sums are those of the patients one by one, and that nobody adds more than C.

    Args:
        study: names the model and the task.
        targets: of seven samples, `[7, ...]`.
        inputs: of the seven samples; none: random ones of the study's shape.
        engines: the engines that take the network.
        tolerance: relative.
    """
    network, loss, batch = _made(study, targets, inputs)
    check_device(network, loss, batch)
    for engine in engines:
        if torch.cuda.is_available():
            _check_cuda(engine, network, loss, batch)
        _check_sums(engine, network, loss, batch, tolerance)
        _check_sensitivity(engine, network, loss, batch)


def check_pair(study: Study, targets: torch.Tensor) -> None:
    """Check the same of the engine that `auto` takes at one clipping norm: quick enough for every model and task.

    Args:
        study: names the model and the task.
        targets: of seven samples, `[7, ...]`.
    """
    network, loss, batch = _made(study, targets, None)
    check_device(network, loss, batch)
    if torch.cuda.is_available():
        _check_cuda("auto", network, loss, batch)
    own = [gradient_of(network, loss, batch, unit) for unit in range(4)]
    norms = [math.sqrt(sum(float(g.double().pow(2).sum()) for g in each.values())) for each in own]
    clip = sorted(norms)[2]  # some are cut and some are not: what scales a gradient is seen as well
    everybody = clipped_sum("auto", network, loss, batch, clip)
    expected = total([clipped(each, clip) for each in own])
    scale = max(1e-12, max(float(value.abs().max()) for value in expected.values()))
    for name, value in expected.items():
        torch.testing.assert_close(everybody[name], value, rtol=1e-5, atol=1e-5 * scale)
        assert not everybody[name].requires_grad, "a sum that keeps its piece in memory"
    for unit in range(4):
        left = clipped_sum("auto", network, loss, without(batch, unit), clip)
        assert distance(everybody, left) <= clip * (1 + 1e-4)


def _made(
    study: Study, targets: torch.Tensor, inputs: torch.Tensor | None
) -> tuple[nn.Module, LossPerSample, UnitBatch]:
    """Return network, loss and seven samples of four patients, whose losses are seven numbers."""
    task = build_task(study)
    network = build_model(study, task.outputs)
    if inputs is None:
        drawn = torch.Generator().manual_seed(3)
        inputs = torch.randn((7, *study.data.model_shape), generator=drawn)
    batch = UnitBatch(inputs, targets, UNIT, 4)
    losses = task.loss(network(batch.inputs), batch.targets)
    assert losses.shape == (7,), "the loss must be one of each sample"
    assert torch.isfinite(losses).all()
    return network, task.loss, batch


def check_device(network: nn.Module, loss: LossPerSample, batch: UnitBatch) -> None:
    """Check that network and loss make no tensors beside the device of their inputs, without having another one.

    On the device "meta" operations work out shapes only; that is enough to see what is where.
    """
    there = copy.deepcopy(network).to("meta")
    with _OneDevice():
        losses = loss(there(batch.inputs.to("meta")), batch.targets.to("meta"))
        losses.sum().backward()
    assert losses.is_meta
    assert all(p.grad is None or p.grad.is_meta for p in there.parameters())


class _OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices; numbers without dimensions may come from anywhere."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = [v for v in tree_leaves((args, kwargs or {})) if isinstance(v, torch.Tensor)]
        devices = {value.device for value in given if value.ndim}
        assert len(devices) < 2, f"{func} mixes {sorted(map(str, devices))}"
        return func(*args, **(kwargs or {}))


def _check_cuda(engine: Name, network: nn.Module, loss: LossPerSample, batch: UnitBatch) -> None:
    """Check that a GPU finds the sums that the processor finds."""
    there = UnitBatch(batch.inputs.cuda(), batch.targets.cuda(), batch.unit.cuda(), batch.units)
    expected = clipped_sum(engine, network, loss, batch, 0.3)
    found = clipped_sum(engine, copy.deepcopy(network).to("cuda"), loss, there, 0.3)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value, rtol=1e-3, atol=1e-4)


def _check_sums(
    engine: Name, network: nn.Module, loss: LossPerSample, batch: UnitBatch, tolerance: float
) -> None:
    own = [gradient_of(network, loss, batch, unit) for unit in range(4)]
    for clip in (1e-3, 0.3, 1e6):
        expected = total([clipped(each, clip) for each in own])
        found = clipped_sum(engine, network, loss, batch, clip)
        assert found.keys() == expected.keys()
        scale = max(1e-12, max(float(value.abs().max()) for value in expected.values()))
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance * scale)


def _check_sensitivity(
    engine: Name, network: nn.Module, loss: LossPerSample, batch: UnitBatch
) -> None:
    for clip in (1e-3, 0.3):
        everybody = clipped_sum(engine, network, loss, batch, clip)
        for unit in range(4):
            left = clipped_sum(engine, network, loss, without(batch, unit), clip)
            assert distance(everybody, left) <= clip * (1 + 1e-4)


def gradient_of(network: nn.Module, loss: LossPerSample, batch: UnitBatch, unit: int) -> Gradients:
    """Return the gradient of a unit's mean loss, by plain autograd."""
    own = batch.unit == unit
    network.zero_grad()
    loss(network(batch.inputs[own]), batch.targets[own]).mean().backward()
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def clipped(gradient: Gradients, clip: float) -> Gradients:
    """Return a gradient cut to an L2 norm."""
    norm = math.sqrt(sum(float(g.double().pow(2).sum()) for g in gradient.values()))
    return {name: g * min(1.0, clip / max(norm, 1e-12)) for name, g in gradient.items()}


def total(gradients: list[Gradients]) -> Gradients:
    """Return the sum by name."""
    return {name: torch.stack([each[name] for each in gradients]).sum(0) for name in gradients[0]}


def clipped_sum(
    engine: Name, network: nn.Module, loss: LossPerSample, batch: UnitBatch, clip: float
) -> Gradients:
    """Return what an engine gives, by parameter name."""
    made = make_engine(engine, copy.deepcopy(network))
    names = [n for n, p in made.module.named_parameters() if p.requires_grad]
    return dict(zip(names, made.clipped_sum(batch, loss, Clipping(clip)), strict=True))


def distance(a: Gradients, b: Gradients) -> float:
    """Return the L2 distance of two gradients."""
    return math.sqrt(sum(float((a[n].double() - b[n].double()).pow(2).sum()) for n in a))


def without(batch: UnitBatch, unit: int) -> UnitBatch:
    """Return a batch without one unit."""
    keep = batch.unit != unit
    left = batch.unit[keep]
    return UnitBatch(
        batch.inputs[keep], batch.targets[keep], left - (left > unit).long(), batch.units - 1
    )
