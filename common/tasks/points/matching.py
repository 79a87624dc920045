"""Which of the found points are hits: near enough to a true one, or with a box that overlaps its box."""

from __future__ import annotations

import torch

from common.tasks.points.heat import present
from common.tasks.points.peaks import Found

Outcomes = tuple[torch.Tensor, torch.Tensor]
"""Which of the found are hits and which are false, `[B, K]` both; what is neither is not counted."""


def near(found: Found, points: torch.Tensor, extent: torch.Tensor) -> torch.Tensor:
    """Return how near each found point is to each true one, `[B, K, P]`: above 0 within its radius, 1 in its middle.

    Args:
        found: `[B, K]`.
        points: `[B, P, d + 1]`.
        extent: `[d]`, length of each axis, where the last one's is 1.
    """
    away = (found.place.unsqueeze(2) - points[:, None, :, :-1]) * extent
    radius = (points[:, None, :, -1] / 2).clamp(min=1e-9)
    return 1 - away.square().sum(-1).sqrt() / radius


def overlap(found: Found, points: torch.Tensor, extent: torch.Tensor) -> torch.Tensor:
    """Return intersection over union of the boxes round found and true points, `[B, K, P]`.

    A box is as long as the diameter along every axis.
    """
    own = found.size[:, :, None, None]
    true = points[:, None, :, -1:].clamp(min=1e-9)
    away = ((found.place.unsqueeze(2) - points[:, None, :, :-1]) * extent).abs()
    shared = torch.minimum(torch.minimum(own, true), (own + true) / 2 - away).clamp(min=0)
    both, dimensions = shared.prod(-1), points.shape[-1] - 1
    whole = own.squeeze(-1) ** dimensions + true.squeeze(-1) ** dimensions - both
    return both / whole


def outcomes(
    found: Found, points: torch.Tensor, fit: torch.Tensor, least: float, *, again: bool
) -> Outcomes:
    """Give each true point to the surest found one that fits it, one after the other.

    Args:
        found: `[B, K]`, the surest first.
        points: `[B, P, d + 1]`.
        fit: `[B, K, P]`, how well they fit.
        least: fits from it on are hits.
        again: whether a second find of the same point is false; else it is not counted.
    """
    fitting = (fit >= least) & present(points).unsqueeze(1)
    taken = torch.zeros_like(fitting[:, 0])
    hits, false = [], []
    for number in range(fitting.shape[1]):
        free = fitting[:, number] & ~taken
        best = torch.where(free, fit[:, number], -torch.inf).argmax(1)
        shown = found.score[:, number] > 0
        hit = free.any(1) & shown
        taken = taken | (torch.nn.functional.one_hot(best, free.shape[1]).bool() & hit[:, None])
        hits.append(hit)
        false.append(shown & ~hit & (again | ~fitting[:, number].any(1)))
    return torch.stack(hits, 1), torch.stack(false, 1)
