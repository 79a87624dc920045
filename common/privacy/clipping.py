"""How the gradient of one unit of privacy is bounded: never past C in L2 norm, whatever the style.

- `flat`: the whole gradient g is scaled by min(1, C/‖g‖) (Abadi et al. 2016, arXiv 1607.00133).
- `per-layer`: each of the L layers by min(1, C/(√L·‖g_l‖)) (McMahan et al. 2018, arXiv 1710.06963).
- `automatic`: the whole gradient by C/(‖g‖ + γ) with γ = 0.01, so that C only scales the learning rate
  (Bu et al. 2023, arXiv 2206.07136).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

Style = Literal["flat", "per-layer", "automatic"]

STABILITY = 0.01
"""γ of automatic clipping."""

_MARGIN = 1 - 1e-6
"""Rounding in a float32 sum must not push a unit past C."""


@dataclass(frozen=True)
class Clipping:
    """A bound on what one unit adds to the sum.

    Attributes:
        norm: C > 0; adding or removing a unit changes the sum by at most this, in L2 norm.
        style: flat, per-layer or automatic.
    """

    norm: float
    style: Style = "flat"

    def factors(self, squares: torch.Tensor, layers: Sequence[int]) -> torch.Tensor:
        """Return what every unit's gradient of every parameter is multiplied with.

        Args:
            squares: `[parameters, units]` float64, squared L2 norms.
            layers: for every parameter, which layer, 0 … L − 1, it belongs to.

        Returns:
            `[parameters, units]` float64; 0 for a unit any of whose norms is not finite: it contributes nothing.
        """
        finite = torch.isfinite(squares).all(0)
        squares = torch.where(finite, squares, torch.zeros_like(squares))
        factors = (
            self._per_layer(squares, layers) if self.style == "per-layer" else self._whole(squares)
        )
        return factors * finite

    def _whole(self, squares: torch.Tensor) -> torch.Tensor:
        norms = squares.sum(0).sqrt()
        factors = _bounded(norms, self.norm)
        if self.style == "automatic":
            factors = self.norm * _MARGIN / (norms + STABILITY)
        return factors.expand_as(squares)

    def _per_layer(self, squares: torch.Tensor, layers: Sequence[int]) -> torch.Tensor:
        layer = torch.tensor(layers, device=squares.device)
        count = int(layer.max()) + 1
        by_layer = squares.new_zeros((count, squares.shape[1])).index_add_(0, layer, squares)
        return _bounded(by_layer.sqrt(), self.norm / count**0.5)[layer]


def _bounded(norms: torch.Tensor, bound: float) -> torch.Tensor:
    """Return min(1, bound/norm), a little less where it clips."""
    return torch.where(
        norms > bound, bound * _MARGIN / norms.clamp(min=1e-300), torch.ones_like(norms)
    )
