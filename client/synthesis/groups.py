"""Images with what is known of them, and choices among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Images of a kind: drawn ones, training patients', held-out patients'.

    Attributes:
        images: `[N, C, H, W]` in [-1, 1].
        labels: `[N]` class numbers from 0; all 0 where the study has no classes.
        patients: `[N]` numbers of those whose they are; of drawn images each its own.
    """

    images: Images
    labels: Numbers
    patients: Numbers

    def __len__(self) -> int:
        return len(self.images)

    def only(self, rows: Numbers) -> Group:
        """Return some of the images."""
        return Group(self.images[rows], self.labels[rows], self.patients[rows])

    def of_patients(self, count: int, rng: np.random.Generator) -> Group:
        """Return the images of so many patients, drawn by lot."""
        chosen = rng.choice(np.unique(self.patients), count, replace=False)
        return self.only(np.flatnonzero(np.isin(self.patients, chosen)))


def as_common_as(wanted: Numbers, labels: Numbers, rng: np.random.Generator) -> Numbers:
    """Return rows of `labels`, as many as there can be, in which classes are as common as in `wanted`."""
    classes = np.arange(max(wanted.max(), labels.max()) + 1)
    shares = np.bincount(wanted, minlength=len(classes)) / len(wanted)
    there = np.bincount(labels, minlength=len(classes))
    total = min(there[number] / shares[number] for number in classes if shares[number] > 0)
    return chosen_by_class(labels, np.floor(total * shares + 1e-9).astype(np.int64), rng)


def chosen_by_class(labels: Numbers, counts: Numbers, rng: np.random.Generator) -> Numbers:
    """Return rows of `labels`, ascending: of class k `counts[k]`, drawn by lot, or all where there are fewer."""
    rows = [
        rng.permutation(np.flatnonzero(labels == number))[:count]
        for number, count in enumerate(counts)
    ]
    return np.sort(np.concatenate(rows))
