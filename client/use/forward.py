"""Runs the network over prepared cases, and puts a case's samples together as the study's evaluation does."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from client.data.cohort import bounded
from client.data.steps.apply import after_steps
from client.use.cases import Cases
from common.data_spec import DataSpec
from common.memory_format import channels_last, laid_out
from common.study import Study
from common.tasks.base import Task
from common.trained import Trained

BATCH = 64
"""Samples held at once where the study does not say."""


def pools(study: Study, task: Task) -> bool:
    """Tell whether a case's samples are put together to one answer."""
    return task.pools_patients and study.evaluation.per == "patient"


def most(cases: Cases, spec: DataSpec) -> Cases:
    """Return the cases with as many samples each as the study takes, evenly spread."""
    if spec.max_samples_per_patient is None or not len(cases.case):
        return cases
    return cases.chosen(bounded(cases.case, spec.max_samples_per_patient))


def outputs_of(trained: Trained, inputs: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    """Return the network's outputs `[N, outputs, ...]` for samples as they were read, on the CPU."""
    network = channels_last(trained.network.to(device))
    size = trained.study.training.physical_batch or BATCH
    found = [torch.empty((0, trained.task.outputs))]
    for start in range(0, len(inputs), size):
        part = after_steps(inputs[start : start + size], trained.study.data)
        batch = torch.from_numpy(np.array(part))
        with torch.inference_mode():
            found.append(network(laid_out(batch.to(device))).float().cpu())
    return torch.cat(found[1:] or found)


def by_case(outputs: torch.Tensor, case: NDArray[np.int64], cases: int) -> torch.Tensor:
    """Return the mean outputs of every case, `[cases, outputs]`; NaN of a case without samples."""
    number = torch.from_numpy(case)
    sums = outputs.new_zeros((cases, *outputs.shape[1:])).index_add_(0, number, outputs)
    count = torch.bincount(number, minlength=cases).view(-1, *[1] * (outputs.ndim - 1))
    return sums / count
