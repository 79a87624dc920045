"""Loss of a centre-point map: heat where something lies, and there its size and its place within the cell.

X. Zhou, D. Wang and P. Krähenbühl, "Objects as Points", 2019 (CenterNet); the penalty-reduced focal loss is H. Law's
and J. Deng's ("CornerNet", 2018). Both divide by the objects of a batch; here each image has its own divisor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

PRIOR_LOG_ODDS = -2.19
"""Added to the heat: a fresh network says 0.1 everywhere, so that many empty cells do not drown the few others."""
WIDTH = 1 / 6
"""Standard deviation of the heat round a point, as a share of its diameter: it ends at the edge."""
LEAST_WIDTH = 0.7
"""The same at least, in cells."""


def present(points: torch.Tensor) -> torch.Tensor:
    """Return which rows of points `[B, P, d + 1]` are points, `[B, P]`."""
    return points[..., -1] > 0


def cells_of(points: torch.Tensor, grid: tuple[int, ...]) -> torch.Tensor:
    """Return the cell of each point, `[B, P, d]` whole numbers."""
    sides = torch.tensor(grid, device=points.device)
    cells = (points[..., :-1] * sides).floor().long()
    return torch.minimum(cells.clamp(min=0), sides - 1)


def numbered(cells: torch.Tensor, grid: tuple[int, ...]) -> torch.Tensor:
    """Return the number of each cell `[B, P, d]` in a flattened map, `[B, P]`."""
    number = torch.zeros_like(cells[..., 0])
    for axis, side in enumerate(grid):
        number = number * side + cells[..., axis]
    return number


def heat_of(points: torch.Tensor, grid: tuple[int, ...], extent: tuple[float, ...]) -> torch.Tensor:
    """Return the heat that a network should show, `[B, *grid]`: 1 in a point's cell, falling round it.

    Args:
        points: `[B, P, d + 1]`.
        grid: cells along each axis.
        extent: length of each axis of the image, where the last one's is 1.
    """
    cells = cells_of(points, grid)
    exponent = points.new_zeros((*points.shape[:2], *grid))
    for axis, (side, length) in enumerate(zip(grid, extent, strict=True)):
        step = length / side
        width = (points[..., -1:] * WIDTH / step).clamp(min=LEAST_WIDTH)
        away = (torch.arange(side, device=points.device) - cells[..., axis, None]) / width
        shape = [1] * len(grid)
        shape[axis] = side
        exponent = exponent + 0.5 * away.square().reshape(*points.shape[:2], *shape)
    heat = torch.exp(-exponent)
    known = present(points).reshape(*points.shape[:2], *[1] * len(grid))
    return torch.where(known, heat, 0.0).amax(1)


def heat_loss(log_odds: torch.Tensor, wanted: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Return the penalty-reduced focal loss of each image, `[B]`, over its own number of points.

    Args:
        log_odds: `[B, *grid]`.
        wanted: the heat, `[B, *grid]`.
        count: points of each image, `[B]`; an image without any counts as having one.
    """
    share = log_odds.sigmoid()
    here = (1 - share).square() * F.logsigmoid(log_odds)
    elsewhere = (1 - wanted).pow(4) * share.square() * F.logsigmoid(-log_odds)
    return -torch.where(wanted >= 1, here, elsewhere).flatten(1).sum(1) / count.clamp(min=1)


def shape_loss(
    maps: torch.Tensor, points: torch.Tensor, grid: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean absolute error of sizes (their logarithms) and of places (in cells) of each image, `[B]` both.

    Args:
        maps: `[B, 1 + d, *grid]`: logarithm of the diameter, and place in the cell from its middle.
        points: `[B, P, d + 1]`.
        grid: cells along each axis.
    """
    known = present(points)
    cells = cells_of(points, grid)
    at = numbered(cells, grid).unsqueeze(1).expand(-1, maps.shape[1], -1)
    found = maps.flatten(2).gather(2, at).transpose(1, 2)
    sides = torch.tensor(grid, device=points.device)
    place = points[..., :-1] * sides - cells - 0.5
    size = points[..., -1].clamp(min=1e-6).log()
    count = known.sum(1).clamp(min=1)
    off_size = torch.where(known, (found[..., 0] - size).abs(), 0.0).sum(1) / count
    off_place = torch.where(known, (found[..., 1:] - place).abs().mean(-1), 0.0).sum(1) / count
    return off_size, off_place
