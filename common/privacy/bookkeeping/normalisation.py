"""Rules for the scale and shift of GroupNorm, InstanceNorm, LayerNorm and RMSNorm, and the slope of PReLU."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from common.privacy.bookkeeping.gradients import Formed, UnitGradient
from common.privacy.bookkeeping.sums import widened
from common.privacy.bookkeeping.tape import Read
from common.privacy.bookkeeping.units import Units


def group_norm(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of `nn.GroupNorm`: inputs and output gradients `[B, C, ...]`."""
    norm = cast(nn.GroupNorm, layer)
    values, slopes = widened(read.values), widened(grad)
    if hasattr(read.node, "_saved_result2"):
        return _from_means(norm, Read(values, read.node), slopes, units)
    standard = functional.group_norm(values, norm.num_groups, eps=norm.eps)
    return _scale_and_shift(layer, standard, slopes, units)


def _from_means(
    norm: nn.GroupNorm, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """As PyTorch's own backward pass does it: Σ g·(x − mean)/σ from the means that the forward pass kept."""
    node: Any = read.node
    mean, inverse = (
        widened(values)
        .reshape(len(grad), -1)
        .repeat_interleave(norm.num_channels // norm.num_groups, 1)
        for values in (node._saved_result1, node._saved_result2)
    )
    places = tuple(range(2, grad.ndim))
    shift = grad.sum(places) if places else grad
    product = read.values * grad
    scale = ((product.sum(places) if places else product) - mean * shift) * inverse
    return {"weight": Formed(units.sum(scale)), "bias": Formed(units.sum(shift))}


def instance_norm(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of `nn.InstanceNorm1d/2d/3d`: inputs and output gradients `[B, C, ...]`."""
    norm = cast(nn.InstanceNorm2d, layer)
    standard = functional.instance_norm(widened(read.values), eps=norm.eps)
    return _scale_and_shift(layer, standard, widened(grad), units)


def layer_norm(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of `nn.LayerNorm`: inputs and output gradients `[B, ..., *normalized_shape]`."""
    norm = cast(nn.LayerNorm, layer)
    standard = functional.layer_norm(widened(read.values), norm.normalized_shape, eps=norm.eps)
    return _trailing(norm, standard, widened(grad), units)


def rms_norm(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of `nn.RMSNorm`: inputs and output gradients `[B, ..., *normalized_shape]`."""
    norm = cast(nn.RMSNorm, layer)
    standard = functional.rms_norm(widened(read.values), norm.normalized_shape, eps=norm.eps)
    return _trailing(norm, standard, widened(grad), units)


def prelu(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of `nn.PReLU`: one slope, or one a channel of `[B, C, ...]`."""
    slopes = cast(nn.PReLU, layer).num_parameters
    each = widened(grad) * widened(read.values).clamp(max=0)
    by_channel = each.flatten(2).sum(2) if each.ndim > 2 else each
    total = by_channel if slopes > 1 else by_channel.flatten(1).sum(1, keepdim=True)
    return {"weight": Formed(units.sum(total))}


def _scale_and_shift(
    layer: nn.Module, standard: torch.Tensor, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Sum over everything but samples and channels."""
    places = tuple(range(2, grad.ndim))
    found: dict[str, UnitGradient] = {}
    if layer.weight is not None:
        scale = standard.mul_(grad)
        found["weight"] = Formed(units.sum(scale.sum(places) if places else scale))
    if layer.bias is not None:
        found["bias"] = Formed(units.sum(grad.sum(places) if places else grad))
    return found


def _trailing(
    layer: nn.LayerNorm | nn.RMSNorm, standard: torch.Tensor, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Sum over everything between samples and the normalised dimensions."""
    shape = layer.normalized_shape
    found: dict[str, UnitGradient] = {}

    def summed(values: torch.Tensor) -> UnitGradient:
        return Formed(units.sum(values.reshape(len(values), -1, *shape).sum(1)))

    if layer.weight is not None:
        found["weight"] = summed(standard * grad)
    if getattr(layer, "bias", None) is not None:
        found["bias"] = summed(grad)
    return found
