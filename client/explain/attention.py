"""Where a network with attention gathered from.

Of Transformers the attention of all blocks together, after Abnar and Zuidema (2020, "Quantifying attention flow in
Transformers"): heads are averaged, half of every token is taken to stay where it is, and the blocks are multiplied.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from client.explain.question import Question, Unsuited
from common.models.attention import SelfAttention
from common.models.series_transformer import SeriesEncoder
from common.models.tabular_transformer import TabularTransformer
from common.models.visits import VisitNetwork
from common.models.vit import VisionTransformer

_MODES = {2: "bilinear", 3: "trilinear"}


def attention(question: Question) -> Tensor:
    """Return the share of each place: `[*spatial]` of an image, `[T]` of a series, `[fields]` of a table; sum about 1.

    Raises:
        Unsuited: the network has no attention, or it is not known how it reads its tokens.
    """
    for layer in question.layers:
        if isinstance(layer, VisitNetwork):
            return _visits(question, layer)
        if isinstance(layer, VisionTransformer):
            return _image(question, layer)
        if isinstance(layer, SeriesEncoder):
            return _series(question, layer)
        if isinstance(layer, TabularTransformer):
            return _table(question)
    raise Unsuited("the network has no attention whose tokens can be placed")


def rollout(question: Question) -> Tensor:
    """Return how much every token of the last block holds of every token of the first, `[T, T]`; rows sum to 1."""
    caught: list[Tensor] = []

    def note(layer: SelfAttention, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        caught.append(layer.shares(*arguments, **keywords)[0].mean(0))

    layers = [layer for layer in question.layers if isinstance(layer, SelfAttention)]
    hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
    _run(question, hooks)
    total = torch.eye(len(caught[0]), device=caught[0].device)
    for shares in caught:
        total = (0.5 * shares + 0.5 * torch.eye(len(shares), device=shares.device)) @ total
    return total


def _image(question: Question, layer: VisionTransformer) -> Tensor:
    """The mean of all tokens is read; each is a patch."""
    sides = question.sample.shape[2:]
    grid = [side // step for side, step in zip(sides, layer.patches.stride, strict=True)]
    held = rollout(question).mean(0).view(1, 1, *grid)
    return functional.interpolate(held, tuple(sides), mode=_MODES[len(grid)])[0, 0]


def _series(question: Question, layer: SeriesEncoder) -> Tensor:
    held = rollout(question)
    read = held[-1] if layer.summary == "last" else held.mean(0)
    return read.repeat_interleave(layer.patch) / layer.patch


def _table(question: Question) -> Tensor:
    """The last token is read, which stands for the row; what it keeps of itself is no input's."""
    read = rollout(question)[-1, :-1]
    assert question.fields is not None
    owners = torch.from_numpy(question.fields.owners).to(read.device)
    return read.new_zeros(len(question.fields.fields)).index_add_(0, owners, read)


def _visits(question: Question, layer: VisitNetwork) -> Tensor:
    caught: list[Tensor] = []

    def note(_: nn.Module, __: Any, output: tuple[Tensor, Any]) -> None:
        caught.append(layer.shares(output[0])[0, :, 0])

    _run(question, [layer.encoder.register_forward_hook(note)])
    return caught[0]


def _run(question: Question, hooks: list[Any]) -> None:
    try:
        with torch.no_grad():
            question.network(question.sample)
    finally:
        for hook in hooks:
            hook.remove()
