"""Sums of products over the rows of each unit, and norms that rounding does not spoil."""

from __future__ import annotations

import torch

from common.privacy.bookkeeping.units import Units

_BLOCK = 1024


def outer(inputs: torch.Tensor, grads: torch.Tensor, units: Units) -> torch.Tensor:
    """Return every unit's Σ_r grads[r] inputs[r]ᵀ, `[units, O, D]`, of `[B, R, D]` and `[B, R, O]`."""
    if units.each:
        x = inputs.reshape(units.count, -1, inputs.shape[-1])
        g = grads.reshape(units.count, -1, grads.shape[-1])
        return torch.bmm(g.transpose(1, 2), x)
    pairs = [(grads[rows].flatten(0, 1), inputs[rows].flatten(0, 1)) for rows in units.slices()]
    return torch.stack([g.t() @ x for g, x in pairs])


def squared_norms(values: torch.Tensor) -> torch.Tensor:
    """Return the squared L2 norms of `[units, ...]`, `[units]` float64; blocks in float32, their sum in float64."""
    flat = values.flatten(1)
    whole = flat.shape[1] // _BLOCK * _BLOCK
    rest: torch.Tensor = torch.linalg.vector_norm(flat[:, whole:], dim=1).double().square()
    if not whole:
        return rest
    blocks: torch.Tensor = torch.linalg.vector_norm(
        flat[:, :whole].unflatten(1, (-1, _BLOCK)), dim=2
    )
    return blocks.double().square().sum(1) + rest


def gram(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Return Σ_rs (x_r·x_s)(g_r·g_s) for `[units, R, ·]`."""
    x, g = x.double(), g.double()
    return (torch.bmm(x, x.transpose(1, 2)) * torch.bmm(g, g.transpose(1, 2))).sum((1, 2))


def widened(values: torch.Tensor) -> torch.Tensor:
    """Return half-precision values in float32: what is summed must not be rounded more than its norm."""
    halved = values.dtype in (torch.float16, torch.bfloat16)
    return values.float() if halved else values
