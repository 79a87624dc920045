"""One round of private training at a site."""

from __future__ import annotations

import math

import torch

from client.training.batches import Samples, UnitSampler
from client.training.optimizer import LocalOptimizer
from client.training.schedule import learning_rate
from client.training.workspace import Progress, Workspace
from common.privacy.engine import Footprint, LossPerSample
from common.privacy.engines import make_engine
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan
from common.privacy.step import private_gradient
from common.tasks.hooks import copies, example
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


PIECE_BYTES = 512 << 20
"""Memory of a CPU that one piece may take; a GPU gives a quarter of its own."""


def samples_in_a_piece(wanted: int | None, footprint: Footprint, device: torch.device) -> int:
    """Return how many samples are computed at once: what the memory allows, and no more than the study says.

    A public number: it follows from the network and the machine, and not from who was drawn.
    """
    limit = PIECE_BYTES
    if device.type == "cuda":
        limit = torch.cuda.get_device_properties(device).total_memory // 4
    # Layers without weights keep about as much as those with weights.
    each = 2 * footprint.per_sample + footprint.per_unit
    return max(1, min(wanted or limit, limit // max(1, each)))


def train_private(
    space: Workspace,
    weights: Vector,
    samples: Samples,
    plan: SitePlan,
    sampling: SecureRandom,
    noise: SecureRandom,
    progress: Progress,
    round_: int = 1,
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
        round_: the round's number, on which the learning rate may depend.
    """
    privacy, training = space.study.privacy, space.study.training
    engine = make_engine(privacy.engine, space.fresh_network(weights), training.precision)
    engine.module.train()
    footprint = engine.footprint(example(space.task, samples.inputs, samples.targets))
    sampler = UnitSampler(
        samples,
        plan.sampling_rate,
        privacy.samples_per_patient,
        samples_in_a_piece(training.physical_batch, footprint, space.device),
        training.augment,
        sampling,
        training.views * copies(space.task),
        getattr(space.task, "prepare", None),
    )
    rate = learning_rate(space.study, round_)
    optimizer = LocalOptimizer(engine.module, training, space.algorithm, rate)
    watched = WatchedLoss(space.task.loss)
    for step in range(plan.steps_per_round):
        progress.step(step, plan.steps_per_round)
        private_gradient(engine, sampler.draw(), watched, plan, noise)
        optimizer.step()
        progress.loss(watched.mean())
    optimizer.finish()
    return space.packed(engine.module)
