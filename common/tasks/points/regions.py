"""Where a finding lies, pixel by pixel, from points with a size, and how much of it a map covers."""

from __future__ import annotations

import torch
from torch.nn import functional

from common.tasks.points.heat import cells_of, present


def region_of(
    points: torch.Tensor, grid: tuple[int, ...], extent: tuple[float, ...]
) -> torch.Tensor:
    """Return which pixels lie in a finding, `[B, *grid]`: their middle within its radius, and always its own pixel.

    Args:
        points: `[B, P, d + 1]`.
        grid: pixels along each axis.
        extent: length of each axis of the image, where the last one's is 1.
    """
    found = torch.zeros((len(points), *grid), dtype=torch.bool)
    cells, known = cells_of(points, grid), present(points)
    for number in range(points.shape[1]):
        away = _squared(points[:, number, :-1], grid, extent)
        radius = _wide(points[:, number, -1] / 2, len(grid))
        inside = away <= radius.square()
        inside[(torch.arange(len(points)), *cells[:, number].T)] = True
        found |= inside & _wide(known[:, number], len(grid))
    return found


def overlap(maps: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Return the intersection over union of a map's high part with a region, `[B]` float64; 0 of an empty region.

    The map is brought to the region's pixels and cut at half its own height, the middle of its least and highest value
    (Choe et al. 2020, "Evaluating weakly supervised object localization methods right", with one threshold for all).

    Args:
        maps: `[B, 1, *cells]`.
        region: `[B, *pixels]` of booleans.
    """
    mode = "bilinear" if region.ndim == 3 else "trilinear"
    wide = functional.interpolate(maps[:, :1].float(), tuple(region.shape[1:]), mode=mode)
    cells = wide.flatten(1).double()
    low, high = cells.aminmax(dim=1, keepdim=True)
    high_part, known = cells >= (low + high) / 2, region.flatten(1)
    both, either = (high_part & known).sum(1), (high_part | known).sum(1)
    return torch.where(known.any(1), both.double() / either.clamp(min=1), 0.0)


def _squared(
    places: torch.Tensor, grid: tuple[int, ...], extent: tuple[float, ...]
) -> torch.Tensor:
    """Return the squared distance of every pixel's middle from a place of its image, `[B, *grid]`."""
    total = torch.zeros((len(places), *grid))
    for axis, (side, length) in enumerate(zip(grid, extent, strict=True)):
        away = ((torch.arange(side) + 0.5) / side - places[:, axis, None]) * length
        shape = [1] * len(grid)
        shape[axis] = side
        total = total + away.square().reshape(len(places), *shape)
    return total


def _wide(values: torch.Tensor, dimensions: int) -> torch.Tensor:
    return values.reshape(-1, *[1] * dimensions)
