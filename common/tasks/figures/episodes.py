"""What is counted of an episode of decisions, one number or table for each.

Targets are those of `common.data_spec.EpisodeSpec`: [B, D, 4] actions (-1 for none), rewards, ends, probabilities.
"""

from __future__ import annotations

import math

import torch

LEAST = 1e-6
"""Below this no probability is believed: who took an action may have done so."""


def returns(targets: torch.Tensor, discount: float) -> torch.Tensor:
    """Return the discounted sum of each episode's rewards, `[B]`."""
    discounts = discount ** torch.arange(targets.shape[1], dtype=targets.dtype)
    return (targets[..., 1] * _there(targets)) @ discounts


def ratios(chances: torch.Tensor, targets: torch.Tensor, limit: float) -> torch.Tensor:
    """Return each episode's importance weight, cut at the limit, as a share of the limit, `[B]`.

    Args:
        chances: `[B, A, D]` of each action under the policy that is judged.
        targets: of the episodes.
        limit: at least 1.
    """
    ours = chances.gather(1, targets[..., 0].clamp(min=0).long().unsqueeze(1)).squeeze(1)
    each = ours.clamp(min=LEAST).log() - targets[..., 3].clamp(min=LEAST).log()
    whole = torch.where(_there(targets), each, 0.0).sum(1)
    return whole.clamp(max=math.log(limit)).exp() / limit


def choices(chances: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the shares of each episode's decisions by action taken and action preferred, `[B, A, A]`.

    Args:
        chances: `[B, A, D]` of each action under the policy that is judged.
        targets: of the episodes.
    """
    number = torch.arange(chances.shape[1])
    taken = (targets[..., 0].unsqueeze(2) == number).to(chances.dtype)
    decisions = _there(targets).sum(1).clamp(min=1).view(-1, 1, 1)
    return torch.einsum("bti,bjt->bij", taken, chances) / decisions


def _there(targets: torch.Tensor) -> torch.Tensor:
    """Return which decisions there are, `[B, D]`."""
    return targets[..., 0] >= 0
