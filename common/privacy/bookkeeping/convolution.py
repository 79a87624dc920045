"""Rule for convolutions, plain and transposed, in one, two and three dimensions."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from common.privacy.bookkeeping.gradients import Formed, UnitGradient, product
from common.privacy.bookkeeping.sums import outer, widened
from common.privacy.bookkeeping.tape import Read
from common.privacy.bookkeeping.units import Units

_SMALL_MAP, _SMALL_INPUT = 256, 8192
"""Pixels of the output, and values of the input, of one sample."""
_FEW_CHANNELS = 4


def convolution(
    layer: nn.Module, read: Read, grad: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of a convolution: inputs `[B, I, ...]`, output gradients `[B, O, ...]`."""
    conv = cast(_ConvNd, layer)
    x, g = _padded(conv, widened(read.values)), widened(grad)
    found: dict[str, UnitGradient] = {}
    if conv.bias is not None:
        found["bias"] = Formed(units.sum(g.flatten(2).sum(2) if g.ndim > 2 else g))
    found["weight"] = _weight(conv, x, g, units)
    return found


def _weight(conv: _ConvNd, x: torch.Tensor, g: torch.Tensor, units: Units) -> UnitGradient:
    """Choose the cheapest way, by the sizes at which each was the quickest."""
    if _is_matrix(conv):
        pixels = [t.flatten(2).transpose(1, 2) for t in (x, g)]
        return product(pixels[0], pixels[1], units, tuple(conv.weight.shape))
    if x.device.type != "cpu" and units.each:
        return Formed(_grouped(conv, x, g, units))
    if isinstance(conv, nn.Conv2d) and conv.groups == 1 and conv.in_channels <= _FEW_CHANNELS:
        return _by_unfolding(conv, x, g, units)
    if _is_small(conv, x, g):
        return _by_patches(cast(nn.Conv2d, conv), x, g, units)
    return _one_by_one(conv, x, g, units)


def _by_patches(conv: nn.Conv2d, x: torch.Tensor, g: torch.Tensor, units: Units) -> UnitGradient:
    """Cut the patches out of the padded images, pixel by pixel, and multiply: best for small maps."""
    down, across = (0, 0) if _pads_first(conv) else cast(tuple[int, int], conv.padding)
    images = functional.pad(x.permute(0, 2, 3, 1), (0, 0, across, across, down, down)).contiguous()
    sample, row, column, channel = images.stride()
    strides = (sample, row * conv.stride[0], column * conv.stride[1])
    steps = (row * conv.dilation[0], column * conv.dilation[1], channel)
    high, wide = conv.kernel_size
    patches = images.as_strided(
        (len(x), *g.shape[2:], high, wide, conv.in_channels), (*strides, *steps)
    )
    slopes = g.permute(0, 2, 3, 1).flatten(1, 2)
    shape = (conv.out_channels, high, wide, conv.in_channels)
    return product(patches.flatten(3).flatten(1, 2), slopes, units, shape, (0, 3, 1, 2))


def _by_unfolding(conv: nn.Conv2d, x: torch.Tensor, g: torch.Tensor, units: Units) -> UnitGradient:
    """As by patches, cut out by PyTorch channel by channel: best for the few channels of an image."""
    padding = (0, 0) if _pads_first(conv) else cast(tuple[int, int], conv.padding)
    patches = functional.unfold(x, conv.kernel_size, conv.dilation, padding, conv.stride)
    slopes = g.permute(0, 2, 3, 1).flatten(1, 2)
    found = outer(slopes, patches.transpose(1, 2), units)
    shape = (units.count, conv.in_channels, *conv.kernel_size, conv.out_channels)
    return Formed(found.reshape(shape), (3, 0, 1, 2))


def _one_by_one(conv: _ConvNd, x: torch.Tensor, g: torch.Tensor, units: Units) -> UnitGradient:
    """Return all units' gradients, each by a convolution of its own: on a CPU as quick as all at once."""
    last = conv.weight.ndim == 4 and conv.weight.is_contiguous(memory_format=torch.channels_last)
    shape = conv.weight.permute(0, 2, 3, 1).shape if last else conv.weight.shape
    found = x.new_empty((units.count, *shape))
    for unit, rows in enumerate(units.slices()):
        one = _backward(conv, x[rows], g[rows], conv.weight, conv.groups)
        found[unit] = one.permute(0, 2, 3, 1) if last else one
    return Formed(found, (0, 3, 1, 2) if last else None)


def _grouped(conv: _ConvNd, x: torch.Tensor, g: torch.Tensor, units: Units) -> torch.Tensor:
    """Return all units' gradients by one convolution with a group for every unit: one launch on a GPU."""
    each, count = units.each or 1, units.count
    x, g = (t.unflatten(0, (count, each)).transpose(0, 1).flatten(1, 2) for t in (x, g))
    weight = conv.weight.repeat(count, *(1,) * (conv.weight.ndim - 1))
    found = _backward(conv, x, g, weight, conv.groups * count)
    return found.reshape(count, *conv.weight.shape)


def _backward(
    conv: _ConvNd, x: torch.Tensor, g: torch.Tensor, weight: torch.Tensor, groups: int
) -> torch.Tensor:
    """Return the gradient of the weight, summed over the rows of `x`."""
    transposed = isinstance(conv, _ConvTransposeNd)
    padding = [0] * len(conv.kernel_size) if _pads_first(conv) else list(conv.padding)
    found = torch.ops.aten.convolution_backward(
        g,
        x,
        weight,
        None,
        conv.stride,
        padding,
        conv.dilation,
        transposed,
        conv.output_padding,
        groups,
        [False, True, False],
    )
    return cast(torch.Tensor, found[1])


def _pads_first(conv: _ConvNd) -> bool:
    """Whether the padding is put round the input beforehand: by words, or with something else than zeros."""
    return isinstance(conv.padding, str) or conv.padding_mode != "zeros"


def _padded(conv: _ConvNd, x: torch.Tensor) -> torch.Tensor:
    if not _pads_first(conv):
        return x
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    return functional.pad(x, conv._reversed_padding_repeated_twice, mode=mode)


def _is_small(conv: _ConvNd, x: torch.Tensor, g: torch.Tensor) -> bool:
    """Whether cutting patches out beats a convolution for every unit."""
    return (
        isinstance(conv, nn.Conv2d)
        and conv.groups == 1
        and g[0, 0].numel() <= _SMALL_MAP
        and x[0].numel() <= _SMALL_INPUT
    )


def _is_matrix(conv: _ConvNd) -> bool:
    """Whether every output pixel is a matrix times one input pixel."""
    ones = {*conv.kernel_size, *conv.stride, conv.groups} == {1}
    padded = not _pads_first(conv) and set(conv.padding) != {0}
    return ones and not padded and not isinstance(conv, _ConvTransposeNd)
