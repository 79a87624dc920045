"""One round of training without privacy: shuffled batches, mean loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from client.training.augment import augment
from client.training.batches import Samples
from client.training.optimizer import LocalOptimizer
from client.training.schedule import learning_rate
from client.training.workspace import Progress, Workspace
from common.memory_format import channels_last, laid_out
from common.privacy.bookkeeping.sums import widened
from common.privacy.engine import mixed
from common.privacy.noise import SecureRandom
from common.study import Training
from common.tasks.hooks import prepared
from common.weights import Vector


def train_plain(
    space: Workspace,
    weights: Vector,
    samples: Samples,
    random: SecureRandom,
    progress: Progress,
    round_: int = 1,
) -> tuple[Vector, int]:
    """Train on the samples from `weights`; return the new weights and the number of steps.

    Args:
        space: study, network and device.
        weights: the round's incoming weights.
        samples: the training samples.
        random: stream that shuffles and augments.
        progress: told about every step; may stop the round with `Interrupted`.
        round_: the round's number, on which the learning rate may depend.
    """
    training = space.study.training
    count = len(samples.inputs)
    network = channels_last(space.fresh_network(weights))
    network.train()
    optimizer = LocalOptimizer(
        network, training, space.algorithm, learning_rate(space.study, round_)
    )
    steps = planned_steps(training, count)
    for step, batch in zip(
        range(steps), _batches(count, training.batch_size, random), strict=False
    ):
        progress.step(step, steps)
        index = torch.from_numpy(batch).to(space.device)
        inputs, targets = augment(
            samples.inputs[index], samples.targets[index], training.augment, random
        )
        inputs, targets = prepared(space.task, inputs, targets, random)
        for parameter in optimizer.parameters:
            parameter.grad = None
        loss = _gradient(space, network, inputs, targets)
        optimizer.step()
        progress.loss(loss)
    optimizer.finish()
    return space.packed(network), steps


def _gradient(
    space: Workspace, network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> float:
    """Leave the gradient of a batch's mean loss in the parameters, and return that loss.

    It is gathered piece by piece, so that no more than `physical_batch` samples are held at once.
    """
    training, count, total = space.study.training, len(inputs), 0.0
    size = training.physical_batch or count
    for some, wanted in zip(inputs.split(size), targets.split(size), strict=True):
        with mixed(training.precision, some.device):
            outputs = network(laid_out(some))
        loss = space.task.loss(widened(outputs), wanted).mean() * (len(some) / count)
        loss.backward()
        total += loss.item()
    return total


def planned_steps(training: Training, samples: int) -> int:
    """Return the steps of one round on a cohort of so many training samples."""
    if training.local_steps is not None:
        return training.local_steps
    return math.ceil((training.local_epochs or 1) * samples / min(training.batch_size, samples))


def _batches(count: int, size: int, random: SecureRandom) -> Iterator[npt.NDArray[np.int64]]:
    """Yield shuffled batches for ever, epoch after epoch; the last of an epoch may be smaller."""
    while True:
        order = np.argsort(random.uniform(count), kind="stable")
        for start in range(0, count, size):
            yield order[start : start + size]
