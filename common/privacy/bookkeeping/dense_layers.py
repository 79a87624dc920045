"""Rules for layers that multiply by a matrix or look rows up: Linear and Embedding."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from common.privacy.bookkeeping.gradients import Formed, Scattered, UnitGradient, product
from common.privacy.bookkeeping.sums import widened
from common.privacy.bookkeeping.tape import Read
from common.privacy.bookkeeping.units import Units


def linear(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of `nn.Linear`: inputs `[B, ..., D]`, output gradients `[B, ..., O]`."""
    dense = cast(nn.Linear, layer)
    found = {"weight": matrix(read.values, grad, units)}
    if dense.bias is not None:
        found["bias"] = Formed(units.sum(_rows(widened(grad)).sum(1)))
    return found


def matrix(inputs: torch.Tensor, grad: torch.Tensor, units: Units) -> UnitGradient:
    """Return the gradient of W `[O, D]` in y = x Wᵀ, for x `[B, ..., D]` and y's gradient `[B, ..., O]`."""
    x, g = _rows(widened(inputs)), _rows(widened(grad))
    return product(x, g, units, (g.shape[-1], x.shape[-1]))


def embedding(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of `nn.Embedding`: places `[B, ...]` of integers, output gradients `[B, ..., O]`."""
    table, places = cast(nn.Embedding, layer), read.values
    g = widened(grad).reshape(len(places), -1, table.embedding_dim)
    flat = places.reshape(len(places), -1)
    if table.padding_idx is not None:
        g = g * (flat != table.padding_idx)[:, :, None]
    return {"weight": Scattered(flat, g, units, tuple(table.weight.shape))}


def _rows(values: torch.Tensor) -> torch.Tensor:
    """Return `[B, ..., D]` as `[B, R, D]`."""
    return values.reshape(values.shape[0], -1, values.shape[-1])
