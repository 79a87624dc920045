"""Self-attention for images, series and tables, built so that both private engines can follow it.

Vaswani et al. (2017, "Attention is all you need"), with the normalisation before each part instead of after it (Xiong
et al. 2020, "On layer normalization in the Transformer architecture"), which trains without a warm-up. Everything that
is learned lies in `nn.Linear`, `nn.LayerNorm` and `nn.Embedding`: their gradients of one sample are known to every
engine, whereas `nn.MultiheadAttention` and bare parameters need rules of their own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.errors import StudyError


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other: `[B, T, width]` to the same shape."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Return what each token gathers.

        Args:
            tokens: `[B, T, width]`.
            present: `[B, T]`, true where there is a token; the others are not attended to. None: all are.
        """
        query, key, value = self._split(tokens)
        mask = None if present is None else _hiding(present, tokens.dtype)
        gathered = functional.scaled_dot_product_attention(query, key, value, mask)
        merged: Tensor = self.merge(gathered.transpose(1, 2).flatten(2))
        return merged

    def shares(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Return how much every token attends to every other, `[B, heads, T, T]`; rows sum to 1."""
        query, key, _ = self._split(tokens)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        if present is not None:
            scores = scores + _hiding(present, tokens.dtype)
        return scores.softmax(-1)

    def _split(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Project the tokens to queries, keys and values, `[B, heads, T, width / heads]` each."""
        parts = self.project(tokens).chunk(3, dim=2)
        return tuple(part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)


class EncoderBlock(nn.Module):
    """A pre-norm Transformer block, attention and then two linear layers, each added to its input.

    Maps `[B, T, width]` to the same shape.

    Args:
        width: of a token.
        heads: of the attention; they must divide the width.
        expansion: the inner layer is so many times as wide as a token.

    Raises:
        StudyError: the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int, expansion: int = 2) -> None:
        super().__init__()
        require_heads(width, heads)
        self.before_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.before_mixing = nn.LayerNorm(width)
        self.mixing = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the tokens after the block.

        Args:
            tokens: `[B, T, width]`.
            present: `[B, T]`, true where there is a token; None: all are.
        """
        tokens = tokens + self.attention(self.before_attention(tokens), present)
        mixed: Tensor = tokens + self.mixing(self.before_mixing(tokens))
        return mixed


class Encoder(nn.Module):
    """Blocks one after another and a last normalisation: `[B, T, width]` to the same shape."""

    def __init__(self, width: int, heads: int, blocks: int, expansion: int = 2) -> None:
        super().__init__()
        made = [EncoderBlock(width, heads, expansion) for _ in range(blocks)]
        self.blocks = nn.ModuleList(made)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the tokens after all blocks; `present` as in `EncoderBlock`."""
        for block in self.blocks:
            tokens = block(tokens, present)
        normed: Tensor = self.norm(tokens)
        return normed


class LearnedPositions(nn.Module):
    """Adds a learned vector to every place of a sequence of fixed length: `[B, T, width]` to the same shape.

    An embedding of the places rather than a bare parameter, so that its gradient of one sample is known.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.places = nn.Embedding(length, width)
        nn.init.normal_(self.places.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens with their places."""
        each = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape[:2])
        placed: Tensor = tokens + self.places(each)
        return placed


def require_heads(width: int, heads: int) -> None:
    """Refuse a width that the heads cannot share.

    Raises:
        StudyError: the heads do not divide it.
    """
    if width % heads:
        raise StudyError(
            f"{heads} heads cannot share tokens of width {width}.",
            where="[model] heads",
            fix="Use a width that is a multiple of heads.",
        )


def _hiding(present: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what is added to the scores, `[B, 1, 1, T]`: 0, or so little that nothing attends there.

    Finite, so that a sample of which nothing is present gives numbers and no NaN.
    """
    least = torch.finfo(dtype).min / 2
    return torch.zeros_like(present, dtype=dtype).masked_fill(~present, least)[:, None, None, :]
