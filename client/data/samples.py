"""What a source hands to the cohort: samples that still know their patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from client.data.quarantine import NOTHING, Quarantine


@dataclass(frozen=True)
class RawSamples:
    """Samples of a data set, in a meaningful order within each patient.

    Attributes:
        inputs: [N, ...] float32 in [-1, 1].
        targets: [N] int64 classes, [N, H] float32, or [N, *spatial] uint8 masks (numbers of structures, 0 for none).
        patients: the N patients' identifiers; they end here.
        splits: "train" or "test" of each patient where the site declares it; none: to be drawn.
        quarantine: what was left out.
        notes: sentences for the site's people; counts only.
        nameless: the data name no patients, so each sample was taken for a patient of its own.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    patients: Sequence[str] = field(repr=False)
    splits: Mapping[str, str] | None = field(default=None, repr=False)
    quarantine: Quarantine = NOTHING
    notes: tuple[str, ...] = ()
    nameless: bool = False


@dataclass(frozen=True)
class PatientGroups:
    """The group of every patient in each of the study's subgroups.

    Attributes:
        numbers: by patient's identifier, one number a division; −1: unknown.
        divisions: how many there are.
        notes: sentences for the site's people.
    """

    numbers: Mapping[str, Sequence[int]] = field(repr=False)
    divisions: int
    notes: tuple[str, ...] = ()

    def of(self, patients: Sequence[str]) -> NDArray[np.int64]:
        """Return the numbers of patients, [P, divisions]."""
        unknown = (-1,) * self.divisions
        return np.array([self.numbers.get(p, unknown) for p in patients], np.int64).reshape(
            len(patients), self.divisions
        )


class Source(Protocol):
    """A kind of data set, registered as an entry point in `consilium.sources`."""

    def load(self, dataset: Any, spec: Any, classes: Sequence[str] | None) -> RawSamples:
        """Read everything usable.

        Args:
            dataset: the site's description of the data set.
            spec: what the study asks for.
            classes: names of the task's classes in order; none where there are no classes.

        Raises:
            DataError: the data set as a whole cannot be used.
        """
