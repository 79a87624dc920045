"""Grad-CAM: the last maps of a convolutional network, weighted by what they do to the score (Selvaraju et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from client.explain.question import Question, Unsuited, differentiable
from common.models.attention import SelfAttention

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def grad_cam(question: Question) -> Tensor:
    """Return how much each place speaks for the score, `[*spatial]` of an image or `[T]`; never below 0.

    Raises:
        Unsuited: the network has no maps, or answers with a map of its own.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    layer = _last_maps(question)
    with differentiable(question):
        sample = question.sample.clone().requires_grad_()
        found = LayerGradCam(question.forward, layer).attribute(sample, relu_attributions=True)
    places = _places(question)
    wide: Tensor = LayerAttribution.interpolate(found, places, _MODES[len(places)])
    return wide[0, 0]


def _places(question: Question) -> tuple[int, ...]:
    """Return the sides of an image, or the steps of a series."""
    shape = tuple(question.sample.shape[1:])
    return shape[1:] if question.fields is None else shape[:1]


def _last_maps(question: Question) -> nn.Module:
    """Return the last layer that still gives maps `[B, maps, *places]` of more than one place."""
    layers = question.layers
    if question.fields is not None and question.sample.ndim == 2:
        raise Unsuited("a table has no places")
    if any(isinstance(layer, SelfAttention) for layer in layers):
        raise Unsuited("the network works with attention, not with maps")
    if not any(isinstance(layer, _CONVOLUTIONS) for layer in layers):
        raise Unsuited("the network has no convolutions, so there are no maps")
    found, output = _watched(question)
    if output.ndim > 2:
        raise Unsuited("the network's answer is a map itself")
    if found is None:
        raise Unsuited("the network's maps have one place only")
    return found


def _watched(question: Question) -> tuple[nn.Module | None, Tensor]:
    """Run the network once; return the last layer whose output is maps, and the network's output."""
    rank = len(_places(question)) + 2
    seen: list[nn.Module] = []

    def note(layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == rank and max(output.shape[2:]) > 1:
            seen.append(layer)

    leaves = [layer for layer in question.layers if not list(layer.children())]
    hooks = [layer.register_forward_hook(note) for layer in leaves]
    try:
        with torch.no_grad():
            output = question.network(question.sample)
    finally:
        for hook in hooks:
            hook.remove()
    return (seen[-1] if seen else None), output
