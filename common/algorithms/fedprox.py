"""FedProx: Li et al. 2020, "Federated optimization in heterogeneous networks"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from flwr.serverapp import strategy as flower
from pydantic import Field

from common.algorithms.base import STRATEGY_KEYS, Algorithm
from common.plugins import Options


class FedProxOptions(Options):
    """Options of FedProx.

    Attributes:
        proximal_mu: μ, how strongly local weights are drawn back to the round's incoming ones.
    """

    proximal_mu: float = Field(default=0.01, gt=0)


class FedProx(Algorithm):
    """Averaging, with a pull towards the incoming weights in every local step.

    The gradient of μ/2·‖w − w₀‖² is applied as a step of its own after the optimiser's: inside a clipped per-sample
    loss it would have no effect.
    """

    Options = FedProxOptions

    def strategy(self) -> flower.Strategy:
        """Return Flower's FedProx."""
        return flower.FedProx(proximal_mu=self.options.proximal_mu, **STRATEGY_KEYS)

    def after_step(
        self, parameters: Sequence[torch.nn.Parameter], anchor: Sequence[torch.Tensor], rate: float
    ) -> None:
        """Move every parameter towards the anchor by the share rate·μ (at most all the way)."""
        share = min(1.0, rate * self.options.proximal_mu)
        with torch.no_grad():
            for parameter, start in zip(parameters, anchor, strict=True):
                parameter.lerp_(start, share)
