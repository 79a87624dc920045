"""The tally of a model over a site's held-out patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from client.data.cohort import Cohort
from client.training.workspace import Workspace
from common.memory_format import channels_last
from common.tasks.base import Tally, Task
from common.tasks.hooks import outputs_of
from common.tasks.subgroups import Groups, Subgrouped
from common.weights import Vector

BATCH = 256
"""Samples held at once where the study does not say."""


def _go_on() -> None:
    """Nobody stops the evaluation."""


def evaluate(
    space: Workspace,
    weights: Vector,
    cohort: Cohort,
    check: Callable[[], None] = _go_on,
    *,
    exact: bool = False,
) -> Tally:
    """Return the statistics of the weights on the held-out patients.

    With `[evaluation] per = "patient"` every patient weighs the same: a patient's outputs are averaged where all of
    them share one target, and otherwise each sample weighs one over the patient's samples.

    Args:
        space: study, network and device.
        weights: what is evaluated.
        cohort: whose held-out patients it is evaluated on.
        check: called before every batch; may raise to end the evaluation.
        exact: the tally leaves without noise: subgroups of few patients are emptied, which noise makes needless, and
            which under noise would be one more thing that depends on the patients.
    """
    rows = cohort.rows("test")
    if not len(rows):
        return Tally.zeros(space.task.tally_layout)
    held_out = _HeldOut(cohort, rows)
    tally = _tally(space, weights, held_out, check)
    if exact and isinstance(space.task, Subgrouped):
        return space.task.without_small_groups(tally, held_out.group_sizes(space.task))
    return tally


def _tally(
    space: Workspace, weights: Vector, held_out: _HeldOut, check: Callable[[], None]
) -> Tally:
    if space.study.evaluation.per == "sample":
        return _by_sample(space, weights, held_out, np.ones(len(held_out.rows)), check)
    if space.task.pools_patients:
        return _by_patient(space, weights, held_out, check)
    return _by_sample(space, weights, held_out, 1.0 / held_out.of_patient, check)


class _HeldOut:
    """The samples of the held-out patients, numbered from 0."""

    def __init__(self, cohort: Cohort, rows: npt.NDArray[np.int64]) -> None:
        self.cohort, self.rows = cohort, rows
        self.targets = cohort.targets[rows]
        _, self.first, self.patient = np.unique(
            cohort.patient[rows], return_index=True, return_inverse=True
        )
        self.of_patient = np.bincount(self.patient)[self.patient]

    def answered(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the first sample of each answer that is counted, and the answer that each sample belongs to.

        A patient is one answer if all samples have the same target; else each of the samples is one. That hangs on this
        patient alone: were it decided for all together, one patient would move what the others count for.
        """
        differs = self.targets != self.targets[self.first][self.patient]
        differs = differs.reshape(len(differs), -1).any(axis=1)
        several = np.bincount(self.patient, weights=differs) > 0
        alone = np.where(several[self.patient], np.arange(len(self.patient)), -1)
        _, first, answer = np.unique(
            np.stack([self.patient, alone]), axis=1, return_index=True, return_inverse=True
        )
        return first, answer.reshape(-1)

    def groups(self, samples: npt.NDArray[np.int64]) -> Groups | None:
        """Return the subgroups that samples' patients belong to; none where the study has no subgroups."""
        found = self.cohort.groups
        return None if found is None else found[self.cohort.patient[self.rows[samples]]]

    def group_sizes(self, task: Subgrouped) -> list[list[int]]:
        """Return the held-out patients by division and group; of whom nothing is known, in the last."""
        groups = task.placed(self.groups(self.first), len(self.first))
        sizes = [len(subgroup.labels) for subgroup in task.subgroups]
        pairs = zip(groups.T, sizes, strict=True)
        return [np.bincount(group, minlength=size).tolist() for group, size in pairs]

    def inputs(self, samples: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return inputs of samples, read from where the cohort keeps them."""
        return torch.from_numpy(self.cohort.inputs[self.rows[samples]])


def _by_sample(
    space: Workspace,
    weights: Vector,
    held_out: _HeldOut,
    weight: npt.NDArray[np.float64],
    check: Callable[[], None],
) -> Tally:
    """Tally batch after batch, so that only one is held in memory, however large the outputs are."""
    total = Tally.zeros(space.task.tally_layout)
    for samples, inputs, outputs in _forward(space, weights, held_out, check):
        each = torch.from_numpy(weight[samples])
        total = total + _counted(space.task, held_out, samples, outputs, inputs, each)
    return total


def _by_patient(
    space: Workspace, weights: Vector, held_out: _HeldOut, check: Callable[[], None]
) -> Tally:
    """Tally each patient's mean outputs; where a patient has several targets, each sample as its share."""
    outputs = torch.cat([part for _, _, part in _forward(space, weights, held_out, check)])
    first, answer = held_out.answered()
    means = _mean_by(outputs, torch.from_numpy(answer))
    each = np.bincount(answer) / held_out.of_patient[first]
    return _counted(
        space.task, held_out, first, means, held_out.inputs(first), torch.from_numpy(each)
    )


def _counted(
    task: Task,
    held_out: _HeldOut,
    samples: npt.NDArray[np.int64],
    outputs: torch.Tensor,
    inputs: torch.Tensor,
    weights: torch.Tensor,
) -> Tally:
    """Return the tally of samples, by subgroup where the study has some."""
    targets = torch.from_numpy(held_out.targets[samples])
    if isinstance(task, Subgrouped):
        return task.tally(outputs, targets, inputs, weights, held_out.groups(samples))
    return task.tally(outputs, targets, inputs, weights)


def _forward(
    space: Workspace, weights: Vector, held_out: _HeldOut, check: Callable[[], None]
) -> Iterator[tuple[npt.NDArray[np.int64], torch.Tensor, torch.Tensor]]:
    """Yield samples, their inputs and the network's outputs, batch after batch."""
    network = channels_last(space.fresh_network(weights))
    network.eval()
    size = space.study.training.physical_batch or BATCH
    for start in range(0, len(held_out.rows), size):
        check()
        samples = np.arange(start, min(start + size, len(held_out.rows)))
        inputs = held_out.inputs(samples)
        with torch.inference_mode():
            targets = torch.from_numpy(held_out.targets[samples])
            seen = inputs.to(space.device)
            outputs = outputs_of(space.task, network, seen, targets).float().cpu()
        yield samples, inputs, outputs


def _mean_by(outputs: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    count = torch.bincount(group)
    sums = outputs.new_zeros((len(count), outputs.shape[1])).index_add_(0, group, outputs)
    return sums / count.unsqueeze(1)
