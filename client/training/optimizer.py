"""The local optimiser: gradients in, parameters changed, local terms last."""

from __future__ import annotations

import torch
from torch import nn

from common.algorithms.base import Algorithm
from common.study import Training


class LocalOptimizer:
    """Torch's optimiser, then decoupled weight decay, then the algorithm's own term.

    All three see only what is already noised, so under privacy they are post-processing. The optimiser's moments
    start anew every round.
    """

    def __init__(self, module: nn.Module, training: Training, algorithm: Algorithm) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.anchor = [p.detach().clone() for p in self.parameters]
        self.training = training
        self.algorithm = algorithm
        self.inner = self._inner()

    def _inner(self) -> torch.optim.Optimizer:
        rate = self.training.learning_rate
        if self.training.optimizer == "adam":
            return torch.optim.Adam(self.parameters, lr=rate)
        return torch.optim.SGD(self.parameters, lr=rate, momentum=self.training.momentum)

    def step(self) -> None:
        """Apply the gradients that stand in `.grad`."""
        self.inner.step()
        if self.training.weight_decay:
            with torch.no_grad():
                for parameter in self.parameters:
                    parameter.mul_(1 - self.training.learning_rate * self.training.weight_decay)
        self.algorithm.after_step(self.parameters, self.anchor, self.training.learning_rate)
