"""Draws the units of a step and cuts them into pieces that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch

from client.training.augment import augment
from common.augmentations.base import Augmentation
from common.privacy.engine import UnitBatch
from common.privacy.noise import SecureRandom

Index = npt.NDArray[np.int64]
Prepare = Callable[[torch.Tensor, torch.Tensor, SecureRandom], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Samples:
    """The training samples of a cohort, ordered by unit, on the device.

    Attributes:
        inputs: `[N, ...]`.
        targets: `[N, ...]`.
        offsets: `[units + 1]`; unit u owns the samples offsets[u] … offsets[u + 1] − 1.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    offsets: Index

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.offsets) - 1


def order_by_unit(
    inputs: npt.NDArray[np.float32],
    targets: npt.NDArray[np.generic],
    unit: Index,
    device: torch.device,
) -> Samples:
    """Sort samples so that every unit's lie together; `unit` is `[N]`, any integers."""
    order = np.argsort(unit, kind="stable")
    counts = np.unique(unit, return_counts=True)[1]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Samples(
        torch.from_numpy(inputs[order]).to(device),
        torch.from_numpy(targets[order]).to(device),
        offsets,
    )


@dataclass(frozen=True)
class UnitSampler:
    """Poisson sampling of units with a public rate.

    Attributes:
        samples: the cohort.
        rate: q.
        per_unit: K, at most so many samples of a unit in one step.
        physical_batch: samples in one piece; a unit with more makes a piece of its own.
        augmentations: the study's, applied to every drawn sample and, where it is a mask, its target.
        views: augmented copies of every drawn sample; a unit's gradient is the mean over all of them.
        random: the stream that draws units, samples and augmentations.
        prepare: what the task does to samples at random (`common.tasks.hooks`); none: nothing.
    """

    samples: Samples
    rate: Fraction
    per_unit: int
    physical_batch: int
    augmentations: tuple[Augmentation, ...]
    random: SecureRandom
    views: int = 1
    prepare: Prepare | None = None

    def draw(self) -> Iterator[UnitBatch]:
        """Yield the pieces of one step; none when nobody was drawn."""
        drawn = np.flatnonzero(self.random.poisson_mask(self.samples.units, self.rate))
        rows = [self._rows(int(unit)) for unit in drawn]
        own = None if self.prepare is None else self._own_stream()
        for piece in _pieces(rows, max(1, self.physical_batch // self.views)):
            yield self._batch(piece, own)

    def _own_stream(self) -> SecureRandom:
        """Return a stream of the step's own for the task, so that how the step is cut changes nothing."""
        return SecureRandom.fixed(int(self.random.integers(2**63, 1)[0]), "prepare")

    def _rows(self, unit: int) -> Index:
        first, last = self.samples.offsets[unit], self.samples.offsets[unit + 1]
        count = int(last - first)
        if count <= self.per_unit:
            return np.arange(first, last)
        chosen = self.random.choice_without_replacement(count, self.per_unit)
        return np.asarray(first + np.sort(chosen), dtype=np.int64)

    def _batch(self, rows: list[Index], own: SecureRandom | None) -> UnitBatch:
        index = torch.from_numpy(np.repeat(np.concatenate(rows), self.views))
        drawn = [len(r) * self.views for r in rows]
        unit = torch.from_numpy(np.repeat(np.arange(len(rows)), drawn))
        device = self.samples.inputs.device
        index, unit = index.to(device), unit.to(device)
        inputs, targets = augment(
            self.samples.inputs[index], self.samples.targets[index], self.augmentations, self.random
        )
        if self.prepare is not None and own is not None:
            inputs, targets = self.prepare(inputs, targets, own)
        return UnitBatch(inputs, targets, unit, len(rows))


def _pieces(rows: list[Index], limit: int) -> Iterator[list[Index]]:
    """Group whole units so that a piece holds at most `limit` samples, or one unit."""
    piece: list[Index] = []
    held = 0
    for unit in rows:
        if piece and held + len(unit) > limit:
            yield piece
            piece, held = [], 0
        piece.append(unit)
        held += len(unit)
    if piece:
        yield piece
