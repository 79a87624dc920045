"""Errors of numbers: losses that the tasks with numbers share, and figures from sums of errors.

Values are scaled to [-1, 1], so that an error is at most 2 and half of it is a share of the public range.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from common.tasks.base import Floats

Loss = Literal["huber", "mse"]
HUBER_DELTA = 0.2
"""Scaled error beyond which the Huber loss grows linearly: a tenth of the value range."""


def losses(kind: Loss, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of every value, in the shape of both."""
    if kind == "mse":
        return F.mse_loss(outputs, targets, reduction="none")
    return F.huber_loss(outputs, targets, reduction="none", delta=HUBER_DELTA)


def shares(sums: Floats, count: Floats) -> Floats:
    """Return sums of what cannot be negative over the count; NaN where noise pushed either below what can be."""
    possible = (count > 0) & (sums >= 0)
    return np.divide(sums, count, out=np.full_like(sums, np.nan), where=possible)
