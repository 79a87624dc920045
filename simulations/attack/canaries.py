"""Canaries: units of privacy whose whole gradient is one known coordinate.

The study's network gets a table of numbers beside it, one for each *mark*. A sample that carries mark k has a loss that
falls steeply in the k-th number and depends on nothing else; a sample of a real patient carries none and leaves the
table alone. Both are drawn, averaged within their unit, clipped, summed and noised by the very same code. Canaries that
shared coordinates with patients would have to be told apart from them and miss even a missing noise.

The mark travels inside the inputs, as one more channel (of images) or feature (of series and tables) that is constant
over the sample, so that flips and turns leave it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from client.training.batches import Samples
from client.training.workspace import Workspace
from common.lazy import lazy
from common.tasks.base import Task
from common.weights import Vector

TABLE = "marks.weight"


class MarkedNetwork(nn.Module):
    """The study's network with a table of marks beside it; outputs `[B, outputs + 2]`: its own, number, mark."""

    def __init__(self, network: nn.Module, marks: int) -> None:
        super().__init__()
        self.network = network
        self.marks = nn.Embedding(marks + 1, 1)  # row 0 is of patients, whose loss does not know it
        nn.init.zeros_(self.marks.weight)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Split the mark from the sample."""
        place = _place(inputs.ndim)
        content = inputs.narrow(place, 0, inputs.shape[place] - 1)
        plane = inputs.narrow(place, inputs.shape[place] - 1, 1).flatten(1)[:, 0]
        mark = plane.detach().round().long().clamp(0, self.marks.num_embeddings - 1)
        own = self.network(content).float()
        return torch.cat([own, self.marks(mark).float(), mark[:, None].float()], dim=1)


class MarkedTask:
    """The study's task, for samples of which some are marked."""

    def __init__(self, task: Task, slope: float) -> None:
        self.inner = task
        self.slope = slope

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the study's own loss, `[B]`, or −slope × number of a marked sample."""
        own = self.inner.loss(outputs[:, :-2], targets)
        number, mark = outputs[:, -2], outputs[:, -1]
        if own.shape != mark.shape:
            return own  # whoever takes the step must refuse it
        return torch.where(mark > 0, -self.slope * number, own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(frozen=True)
class MarkedWorkspace(Workspace):
    """A study made ready with a number of marks.

    Attributes:
        marks: how many.
    """

    marks: int = 1

    @lazy
    def task(self) -> Task:
        """The study's task with marks."""
        slope = 100 * max(1.0, self.study.privacy.clip_norm)  # far beyond C: it is always clipped
        return cast(Task, MarkedTask(Workspace(self.study, self.device).task, slope))

    @lazy
    def template(self) -> nn.Module:
        """The study's network with a table of marks."""
        return MarkedNetwork(Workspace(self.study, self.device).template, self.marks)

    def numbers(self, weights: Vector) -> Vector:
        """Return the numbers of marks 1, 2, … out of packed weights, `[marks]`."""
        start = 0
        for name, shape in self.layout.entries:
            size = int(np.prod(shape))
            if name == TABLE:
                return weights[start + 1 : start + size]
            start += size
        raise KeyError(TABLE)


def marked(samples: Samples, units: Sequence[Sequence[int]]) -> Samples:
    """Return real samples, unmarked, followed by units of blank samples that carry marks.

    Args:
        samples: of real patients; of none is possible.
        units: for every canary the marks of its samples, from 1 on.
    """
    marks = [mark for unit in units for mark in unit]
    shape = (len(marks), *samples.inputs.shape[1:])
    inputs = torch.cat([samples.inputs, samples.inputs.new_zeros(shape)])
    blank = samples.targets.new_zeros((len(marks), *samples.targets.shape[1:]))
    numbers = torch.cat([torch.zeros(len(samples.inputs)), torch.tensor(marks, dtype=torch.float)])
    sizes = np.cumsum([len(unit) for unit in units], dtype=np.int64)
    return Samples(
        inputs=_with_plane(inputs, numbers.to(inputs)),
        targets=torch.cat([samples.targets, blank]),
        offsets=np.concatenate([samples.offsets, samples.offsets[-1] + sizes]),
    )


def subset(samples: Samples, units: Sequence[int], most: int | None = None) -> Samples:
    """Return some units, in this order, with at most the first `most` samples of each."""
    spans = [(int(samples.offsets[u]), int(samples.offsets[u + 1])) for u in units]
    rows = [np.arange(a, b if most is None else min(b, a + most)) for a, b in spans]
    index = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *rows]))
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    index = index.to(samples.inputs.device)
    return replace(
        samples, inputs=samples.inputs[index], targets=samples.targets[index], offsets=offsets
    )


def _place(dimensions: int) -> int:
    """Which dimension of a batch holds channels or features."""
    return 1 if dimensions == 4 else dimensions - 1


def _with_plane(inputs: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    place = _place(inputs.ndim)
    shape = [*inputs.shape]
    shape[place] = 1
    plane = numbers.reshape(-1, *[1] * (inputs.ndim - 1)).expand(shape)
    return torch.cat([inputs, plane], dim=place)
