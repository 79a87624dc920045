"""The local optimiser: gradients in, parameters changed, local terms last."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from common.algorithms.base import Algorithm
from common.study import Training

BETAS = (0.9, 0.999)
EPS = 1e-8


class LocalOptimizer:
    """Torch's SGD or Adam, then decoupled weight decay, then the algorithm's own term.

    All three see only what is already noised, so under privacy they are post-processing, and so is the moving average
    of the weights (Polyak and Juditsky 1992). The moments start anew every round. Torch's functional forms are used,
    since its optimiser classes import the compiler (a second).

    Args:
        module: whose trainable parameters change.
        training: the study's settings.
        algorithm: adds its own term.
        rate: the learning rate; none: the study's.
    """

    def __init__(
        self,
        module: nn.Module,
        training: Training,
        algorithm: Algorithm,
        rate: float | None = None,
    ) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.anchor = [p.detach().clone() for p in self.parameters]
        self.training = training
        self.rate = training.learning_rate if rate is None else rate
        self._averages: list[torch.Tensor] = []
        self.algorithm = algorithm
        self._momenta: list[torch.Tensor | None] = [None] * len(self.parameters)
        self._moments = [torch.zeros_like(p) for p in self.parameters]
        self._squares = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [torch.zeros(()) for _ in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients that stand in `.grad`."""
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        if self.training.optimizer == "sgd":
            self._sgd(gradients)
        else:
            self._adam(gradients)
        if self.training.weight_decay:
            keep = 1 - self.rate * self.training.weight_decay
            torch._foreach_mul_([*self.parameters], keep)
        self.algorithm.after_step(self.parameters, self.anchor, self.rate)
        self._average()

    @torch.no_grad()
    def finish(self) -> None:
        """Put the averages, where the study wants them, into the parameters."""
        for parameter, average in zip(self.parameters, self._averages, strict=False):
            parameter.copy_(average)

    def _average(self) -> None:
        keep = self.training.ema
        if keep is None:
            return
        if not self._averages:
            self._averages = [parameter.detach().clone() for parameter in self.parameters]
        torch._foreach_lerp_(self._averages, list(self.parameters), 1 - keep)

    def _sgd(self, gradients: list[torch.Tensor]) -> None:
        sgd(
            list(self.parameters),
            gradients,
            self._momenta,
            foreach=True,
            weight_decay=0.0,
            momentum=self.training.momentum,
            lr=self.rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def _adam(self, gradients: list[torch.Tensor]) -> None:
        adam(
            list(self.parameters),
            gradients,
            self._moments,
            self._squares,
            [],
            self._steps,
            foreach=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.rate,
            weight_decay=0.0,
            eps=EPS,
            maximize=False,
        )
