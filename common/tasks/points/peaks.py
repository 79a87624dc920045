"""Reads a network's maps: the peaks of the heat, with their places and sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from common.tasks.points.heat import PRIOR_LOG_ODDS

LARGEST = 2.0
"""Diameter at which a prediction is cut, as a share of the image's last axis."""


@dataclass(frozen=True)
class Found:
    """What a network found in a batch of images, the surest first.

    Attributes:
        score: `[B, K]` from 0 to 1; 0 where nothing was found.
        place: `[B, K, d]` along each axis, as shares of it.
        size: `[B, K]` diameters, as shares of the last axis.
    """

    score: torch.Tensor
    place: torch.Tensor
    size: torch.Tensor


def peaks(outputs: torch.Tensor, most: int, least: float) -> Found:
    """Return the highest peaks of the heat: cells that no neighbour exceeds.

    Args:
        outputs: `[B, 2 + d, *grid]`: heat, logarithm of the diameter, place in the cell.
        most: peaks of an image.
        least: scores below it are left out.
    """
    grid = tuple(outputs.shape[2:])
    outputs = outputs.float()
    log_odds = (
        outputs[:, 0] + PRIOR_LOG_ODDS
    )  # among sure cells, shares would all be 1 and each a peak
    pool = F.max_pool2d if len(grid) == 2 else F.max_pool3d
    highest = pool(log_odds.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
    flat = torch.where(log_odds >= highest, log_odds, -torch.inf).flatten(1)
    sure, at = flat.topk(min(most, flat.shape[1]), dim=1)
    score = torch.where(sure.sigmoid() >= least, sure.sigmoid(), 0.0)
    maps = outputs[:, 1:].flatten(2)
    own = maps.gather(2, at.unsqueeze(1).expand(-1, maps.shape[1], -1)).transpose(1, 2)
    sides = torch.tensor(grid)
    cells = torch.stack(torch.unravel_index(at, grid), dim=-1)
    place = (cells + 0.5 + own[..., 1:].clamp(-0.5, 0.5)) / sides
    size = own[..., 0].clamp(-10.0, math.log(LARGEST)).exp()
    return Found(score, place, size)
