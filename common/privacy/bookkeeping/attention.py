"""`nn.MultiheadAttention`: its own forward bypasses hooks, so the same computation is written out here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from common.errors import StudyError
from common.privacy.bookkeeping.dense_layers import matrix
from common.privacy.bookkeeping.gradients import Formed, Rows, UnitGradient
from common.privacy.bookkeeping.sums import widened
from common.privacy.bookkeeping.tape import Gradients, Read, Tape, Watched
from common.privacy.bookkeeping.units import Units

_PARTS = ("q_proj_weight", "k_proj_weight", "v_proj_weight")


def install(tape: Tape, name: str, layer: nn.MultiheadAttention) -> Callable[[], None]:
    """Let the layer run a forward pass that the tape can record; return what undoes it.

    Raises:
        StudyError: the layer has learned keys or values of its own, which this engine cannot do.
    """
    if layer.bias_k is not None or layer.add_zero_attn:
        raise StudyError(
            f"Layer '{name}' (MultiheadAttention) adds keys of its own, which private training cannot do.",
            where="[model]",
            fix="Set add_bias_kv = False and add_zero_attn = False.",
        )
    own = layer.forward

    def forward(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not tape.recording or query.ndim != 3:
            return own(
                query,
                key,
                value,
                key_padding_mask,
                need_weights,
                attn_mask,
                average_attn_weights,
                is_causal,
            )
        mask = _mask(layer, query, key, key_padding_mask, attn_mask)
        heads = _projected(tape, name, layer, query, key, value)
        out, shares = _attend(layer, heads, mask, need_weights)
        out = layer.out_proj(out)
        if shares is not None and average_attn_weights:
            shares = shares.mean(1)
        return out if layer.batch_first else out.transpose(0, 1), shares

    layer.forward = forward  # type: ignore[method-assign]
    return lambda: layer.__dict__.pop("forward", None)


def _attend(
    layer: nn.MultiheadAttention,
    heads: list[torch.Tensor],
    mask: torch.Tensor | None,
    need_weights: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the attended values `[B, T, E]` and, where wanted, each head's shares `[B, heads, T, S]`."""
    q, k, v = heads
    dropout = layer.dropout if layer.training else 0.0
    if not need_weights:
        out = functional.scaled_dot_product_attention(q, k, v, mask, dropout)
        return out.transpose(1, 2).flatten(2), None
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    shares = (scores if mask is None else scores + mask).softmax(-1)
    out = functional.dropout(shares, dropout) @ v
    return out.transpose(1, 2).flatten(2), shares


def _projected(
    tape: Tape,
    name: str,
    layer: nn.MultiheadAttention,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
) -> list[torch.Tensor]:
    """Project the three inputs and split them into heads, `[B, heads, T, E/heads]` each."""
    alike = key is query and value is query and layer._qkv_same_embed_dim
    read = [query] if alike else [query, key, value]
    rows = [t if layer.batch_first else t.transpose(0, 1) for t in read]
    outputs = (
        list(_once(tape, name, layer, rows[0]).chunk(3, dim=2))
        if alike
        else _apart(tape, name, layer, rows)
    )
    return [out.unflatten(2, (layer.num_heads, -1)).transpose(1, 2) for out in outputs]


def _once(tape: Tape, name: str, layer: nn.MultiheadAttention, x: torch.Tensor) -> torch.Tensor:
    """Self-attention: one product with all three projections."""
    out = functional.linear(x, layer.in_proj_weight, layer.in_proj_bias)

    def rule(_: nn.Module, read: Read, grad: torch.Tensor, units: Units) -> Gradients:
        found = {"in_proj_weight": matrix(read.values, grad, units)}
        return found | _bias(layer, [grad], units)

    return tape.record(Watched(name, layer, rule), x, out)


def _apart(
    tape: Tape, name: str, layer: nn.MultiheadAttention, rows: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Attention from one thing to another: three products, delivered together."""
    whole = layer.in_proj_weight
    weights = whole.chunk(3) if whole is not None else [getattr(layer, part) for part in _PARTS]
    biases: Any = [None] * 3 if layer.in_proj_bias is None else layer.in_proj_bias.chunk(3)
    arrived: dict[int, tuple[UnitGradient, torch.Tensor]] = {}

    def rule(place: int) -> Callable[..., Gradients]:
        def take(_: nn.Module, read: Read, grad: torch.Tensor, units: Units) -> Gradients:
            arrived[place] = (matrix(read.values, grad, units), grad)
            if len(arrived) < 3:
                return {}
            parts = tuple(arrived[n][0] for n in range(3))
            found: dict[str, UnitGradient] = dict(zip(_PARTS, parts, strict=True))
            if whole is not None:
                found = {"in_proj_weight": Rows(parts)}
            return found | _bias(layer, [arrived[n][1] for n in range(3)], units)

        return take

    outputs = [functional.linear(x, w, b) for x, w, b in zip(rows, weights, biases, strict=True)]
    return [
        tape.record(Watched(name, layer, rule(place)), x, out)
        for place, (x, out) in enumerate(zip(rows, outputs, strict=True))
    ]


def _bias(
    layer: nn.MultiheadAttention, grads: list[torch.Tensor], units: Units
) -> dict[str, UnitGradient]:
    bias: torch.Tensor | None = layer.in_proj_bias  # PyTorch's annotation forgets bias=False
    if bias is None:
        return {}
    each = torch.cat([widened(grad).sum(1) for grad in grads], dim=1)
    return {"in_proj_bias": Formed(units.sum(each))}


def _mask(
    layer: nn.MultiheadAttention,
    query: torch.Tensor,
    key: torch.Tensor,
    padding: torch.Tensor | None,
    attention: torch.Tensor | None,
) -> torch.Tensor | None:
    """Return both masks as one that is added to the scores, `[B or 1, heads or 1, T or 1, S]`."""
    total = None
    if attention is not None:
        total = _additive(attention, query.dtype)
        if total.ndim == 3:
            total = total.unflatten(0, (-1, layer.num_heads))
    if padding is not None:
        kept = _additive(padding, query.dtype)[:, None, None, :]
        total = kept if total is None else total + kept
    return total


def _additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a mask of booleans (True: hidden) as zeros and −∞."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)
