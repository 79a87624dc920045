"""A task whose statistics are also counted by subgroup of the patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from common.plugins import Options
from common.subgroups import Subgroup
from common.tasks.base import Metrics, Tally, TallyLayout, Task
from common.tasks.small_cells import hidden_groups

Groups = npt.NDArray[np.int64]
"""[B, divisions] numbers of the groups that samples belong to; −1 or beyond the last: unknown."""


class Subgrouped:
    """Wraps a task: its tally, and beside it a coarser one for every group of every division.

    A unit adds to the whole and, in each division, to one group; `tally_bound` follows from this.

    Args:
        whole: the task.
        part: the same task with the score bins of subgroups: fewer, so that noise hides less.
        subgroups: the divisions.
        least: groups of fewer patients are not shown.
    """

    def __init__(self, whole: Task, part: Task, subgroups: Sequence[Subgroup], least: int) -> None:
        self.whole, self.part, self.subgroups, self.least = whole, part, tuple(subgroups), least
        self.Options: type[Options] = whole.Options
        self.outputs, self.classes = whole.outputs, whole.classes
        self.headline, self.targets = whole.headline, whole.targets
        self.pools_patients = whole.pools_patients
        self.tally_layout: TallyLayout = dict(whole.tally_layout) | {
            self._key(number, name): (len(subgroup.labels), *shape)
            for number, subgroup in enumerate(self.subgroups)
            for name, shape in part.tally_layout.items()
        }
        self.tally_bound = math.hypot(
            whole.tally_bound, math.sqrt(len(self.subgroups)) * part.tally_bound
        )

    def __getattr__(self, name: str) -> Any:
        """What only some tasks have is the wrapped task's."""
        if name == "whole":  # a copy asks before there is one
            raise AttributeError(name)
        return getattr(self.whole, name)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the task's loss of every sample, `[B]`."""
        return self.whole.loss(outputs, targets)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
        groups: Groups | None = None,
    ) -> Tally:
        """Return the statistics of a batch; of whom no group is given it is unknown."""
        place = self.placed(groups, len(outputs))
        arrays = dict(self.whole.tally(outputs, targets, inputs, weights).arrays)
        arrays |= {name: np.zeros(shape) for name, shape in self._divided().items()}
        for number in range(len(self.subgroups)):
            for each in np.unique(place[:, number]):
                rows = torch.from_numpy(np.flatnonzero(place[:, number] == each))
                found = self.part.tally(outputs[rows], targets[rows], inputs[rows], weights[rows])
                for name, value in found.arrays.items():
                    arrays[self._key(number, name)][each] = value
        return Tally({name: arrays[name] for name in self.tally_layout})

    def placed(self, groups: Groups | None, count: int) -> Groups:
        """Return the places of groups in the tally, `[count, divisions]`: what is no group is unknown, the last."""
        last = np.array([len(subgroup.labels) - 1 for subgroup in self.subgroups])
        if groups is None:
            return np.tile(last, (count, 1))
        return np.where((groups < 0) | (groups > last), last, groups)

    def without_small_groups(self, tally: Tally, counts: Sequence[Sequence[int]]) -> Tally:
        """Return an exact tally in which small groups are empty; noise needs no such thing.

        Args:
            tally: a site's statistics without noise.
            counts: the site's patients by division and group.
        """
        arrays = dict(tally.arrays)
        for number, by_group in enumerate(counts):
            shown = ~np.array(hidden_groups(by_group, self.least))
            for name in self.part.tally_layout:
                kept = arrays[self._key(number, name)]
                arrays[self._key(number, name)] = kept * shown.reshape(-1, *[1] * (kept.ndim - 1))
        return Tally(arrays, tally.variance)

    def metrics(self, tally: Tally) -> Metrics:
        """Return the task's figures over all patients."""
        return self.whole.metrics(self._whole(tally))

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the task's curves, and the figures of every group that is large enough."""
        tables = [
            {"name": subgroup.name, "rows": self._rows(number, tally)}
            for number, subgroup in enumerate(self.subgroups)
        ]
        return self.whole.curves(self._whole(tally)) | {"subgroups": tables}

    def _rows(self, number: int, tally: Tally) -> list[dict[str, Any]]:
        labels = self.subgroups[number].labels
        return [
            self._row(label, self._group(number, place, tally))
            for place, label in enumerate(labels)
        ]

    def _row(self, label: str, tally: Tally) -> dict[str, Any]:
        """Return a group's figures; none where it has too few patients, or noise hides its headline."""
        return group_row(label, self.part.metrics(tally), self.part.headline, self.least)

    def _key(self, number: int, name: str) -> str:
        return f"{self.subgroups[number].name}/{name}"

    def _divided(self) -> dict[str, tuple[int, ...]]:
        whole = self.whole.tally_layout
        return {name: shape for name, shape in self.tally_layout.items() if name not in whole}

    def _whole(self, tally: Tally) -> Tally:
        return Tally({n: tally.arrays[n] for n in self.whole.tally_layout}, tally.variance)

    def _group(self, number: int, place: int, tally: Tally) -> Tally:
        names = self.part.tally_layout
        return Tally({n: tally.arrays[self._key(number, n)][place] for n in names}, tally.variance)


def group_row(label: str, figures: Metrics, headline: str, least: int) -> dict[str, Any]:
    """Return a row of the table of subgroups; without figures where there are too few patients to show."""
    shown = figures.get("count", 0.0) >= least and not math.isnan(figures.get(headline, math.nan))
    return {"name": label, "figures": figures if shown else {}}
