"""One round of private training at a site."""

from __future__ import annotations

import math

import torch

from client.training.batches import Samples, UnitSampler
from client.training.optimizer import LocalOptimizer
from client.training.workspace import Progress, Workspace
from common.privacy.engine import LossPerSample
from common.privacy.engines import make_engine
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan
from common.privacy.step import private_gradient
from common.weights import Vector


class WatchedLoss:
    """A loss per sample that remembers its mean, for the site's own eyes."""

    def __init__(self, loss: LossPerSample) -> None:
        self.inner = loss
        self.total, self.count = 0.0, 0

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the losses, `[B]`."""
        losses = self.inner(outputs, targets)
        self.total += float(losses.detach().sum())
        self.count += len(losses)
        return losses

    def mean(self) -> float:
        """Return the mean since the last call; NaN where nobody was drawn."""
        mean = self.total / self.count if self.count else math.nan
        self.total, self.count = 0.0, 0
        return mean


GRADIENT_BYTES = 128 << 20
"""Memory that the per-sample gradients of one piece may take."""


def _physical_batch(wanted: int, parameters: int) -> int:
    """Return how many samples one piece holds: as the study says, unless their gradients would not fit."""
    return max(1, min(wanted, GRADIENT_BYTES // (4 * max(1, parameters))))


def train_private(
    space: Workspace,
    weights: Vector,
    samples: Samples,
    plan: SitePlan,
    sampling: SecureRandom,
    noise: SecureRandom,
    progress: Progress,
) -> Vector:
    """Take the plan's noisy steps from `weights` and return the new weights.

    Args:
        space: study, network and device.
        weights: the round's incoming weights.
        samples: the training samples, ordered by unit of privacy.
        plan: q, σ, C, steps and the public divisor.
        sampling: stream that draws patients, their samples and augmentations.
        noise: stream that draws the Gaussian noise; independent of `sampling`.
        progress: told about every step; may stop the round with `Interrupted`.
    """
    privacy, training = space.study.privacy, space.study.training
    sampler = UnitSampler(
        samples,
        plan.sampling_rate,
        privacy.samples_per_patient,
        _physical_batch(training.physical_batch, space.layout.size),
        training.augment,
        sampling,
    )
    network = space.fresh_network(weights)
    engine = make_engine(privacy.engine, network)
    engine.module.train()
    optimizer = LocalOptimizer(engine.module, training, space.algorithm)
    watched = WatchedLoss(space.task.loss)
    for step in range(plan.steps_per_round):
        progress.step(step, plan.steps_per_round)
        private_gradient(engine, sampler.draw(), watched, plan, noise)
        optimizer.step()
        progress.loss(watched.mean())
    return space.packed(engine.module)
