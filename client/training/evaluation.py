"""The tally of a model over a site's held-out patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from client.data.cohort import Cohort
from client.training.workspace import Workspace
from common.memory_format import channels_last, laid_out
from common.tasks.base import Tally
from common.weights import Vector

BATCH = 256
"""Samples held at once where the study does not say."""


def _go_on() -> None:
    """Nobody stops the evaluation."""


def evaluate(
    space: Workspace, weights: Vector, cohort: Cohort, check: Callable[[], None] = _go_on
) -> Tally:
    """Return the statistics of the weights on the held-out patients.

    With `[evaluation] per = "patient"` every patient weighs the same: a patient's outputs are averaged where all of
    them share one target, and otherwise each sample weighs one over the patient's samples.

    Args:
        space: study, network and device.
        weights: what is evaluated.
        cohort: whose held-out patients it is evaluated on.
        check: called before every batch; may raise to end the evaluation.
    """
    rows = cohort.rows("test")
    if not len(rows):
        return Tally.zeros(space.task.tally_layout)
    inputs, targets = torch.from_numpy(cohort.inputs[rows]), torch.from_numpy(cohort.targets[rows])
    outputs = _forward(space, weights, inputs, check)
    if space.study.evaluation.per == "sample":
        return space.task.tally(outputs, targets, inputs, torch.ones(len(rows)))
    patient = np.unique(cohort.patient[rows], return_inverse=True)[1]
    if space.task.classes is not None and _one_target_each(patient, cohort.targets[rows]):
        first = torch.from_numpy(np.unique(patient, return_index=True)[1])
        means = _mean_by(outputs, torch.from_numpy(patient))
        return space.task.tally(means, targets[first], inputs[first], torch.ones(len(first)))
    weight = 1.0 / np.bincount(patient)[patient]
    return space.task.tally(outputs, targets, inputs, torch.from_numpy(weight))


def _forward(
    space: Workspace, weights: Vector, inputs: torch.Tensor, check: Callable[[], None]
) -> torch.Tensor:
    network = channels_last(space.fresh_network(weights))
    network.eval()
    size = space.study.training.physical_batch or BATCH
    parts = []
    with torch.inference_mode():
        for part in inputs.split(size):
            check()
            parts.append(network(laid_out(part.to(space.device))).float().cpu())
    return torch.cat(parts)


def _one_target_each(patient: npt.NDArray[np.int64], targets: npt.NDArray[np.generic]) -> bool:
    pairs = np.unique(np.stack([patient, targets.astype(np.int64)]), axis=1)
    return bool(pairs.shape[1] == len(np.unique(patient)))


def _mean_by(outputs: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    count = torch.bincount(group)
    sums = outputs.new_zeros((len(count), outputs.shape[1])).index_add_(0, group, outputs)
    return sums / count.unsqueeze(1)
