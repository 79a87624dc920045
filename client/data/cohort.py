"""A site's prepared patients for a study: what training and evaluation see.

Nothing here carries an identifier: patients are numbered in the order of a keyed hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from client.data.quarantine import NOTHING, Quarantine
from client.data.samples import PatientGroups, RawSamples
from client.data.split import TEST, is_held_out, place_of
from common.errors import DataError

Role = Literal["train", "test"]


@dataclass(frozen=True)
class Cohort:
    """Samples of the patients of one site, grouped by patient.

    Attributes:
        inputs: [N, ...] float32 in [-1, 1]; may be a read-only memory map.
        targets: [N] int64 classes, [N, H] float32, or [N, *spatial] uint8 masks, which may be a read-only memory map.
        patient: [N] int64, the sample's patient, 0..P-1, ascending.
        is_test: [P] bool, which patients are held out.
        split_id: how they were chosen: "declared" or "hash:FRACTION".
        quarantine: what was left out.
        notes: sentences for the site's people; counts only.
        groups: [P, divisions] int64, the number of each patient's group in each of the study's subgroups, −1 where it
            is not known; none where the study has no subgroups.
    """

    inputs: NDArray[np.float32] = field(repr=False)
    targets: NDArray[Any] = field(repr=False)
    patient: NDArray[np.int64] = field(repr=False)
    is_test: NDArray[np.bool_] = field(repr=False)
    split_id: str
    quarantine: Quarantine = NOTHING
    notes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = field(default=None, repr=False)

    @property
    def samples(self) -> int:
        """N, all samples."""
        return len(self.patient)

    @property
    def patients(self) -> int:
        """P, all patients."""
        return len(self.is_test)

    @property
    def train_patients(self) -> int:
        """Patients who train."""
        return self.patients - self.test_patients

    @property
    def test_patients(self) -> int:
        """Patients who are held out."""
        return int(self.is_test.sum())

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Return the indices of the samples of a role, in patient order."""
        chosen = self.is_test[self.patient]
        return np.flatnonzero(chosen if role == "test" else ~chosen)

    def count(self, role: Role) -> int:
        """Number of samples of a role."""
        return len(self.rows(role))


def assemble(
    raw: RawSamples,
    *,
    secret: bytes,
    test_fraction: float,
    most: int | None,
    where: str,
    groups: PatientGroups | None = None,
) -> Cohort:
    """Number the patients, hold some out and bound what each contributes.

    Args:
        raw: the samples with identifiers.
        secret: the site's secret.
        test_fraction: of the patients, where the site declares no split.
        most: samples of a patient, at most; evenly spread over those that there are.
        where: the data set, for messages.
        groups: the patients' groups; none where the study has no subgroups.

    Raises:
        DataError: nobody is left, or a sample is not finite.
    """
    if len(raw.patients) == 0:
        raise DataError(
            f"No patient can be used. Left out: {raw.quarantine.summary()}.",
            where=where,
            fix="Mend the most frequent reason first: .consilium/quarantine-*.html says what, and how.",
        )
    if not (_is_finite(raw.inputs) and _is_finite(raw.targets)):
        raise DataError("Some samples hold values that are not numbers.", where=where)
    order = sorted(set(raw.patients), key=partial(place_of, secret))
    number = {patient: index for index, patient in enumerate(order)}
    patient = np.fromiter((number[p] for p in raw.patients), np.int64, len(raw.patients))
    chosen = bounded(patient, most)
    held_out = [_test(raw, secret, name, test_fraction) for name in order]
    return Cohort(
        inputs=np.ascontiguousarray(_rows(raw.inputs, chosen), dtype=np.float32),
        targets=np.ascontiguousarray(_rows(raw.targets, chosen)),
        patient=patient[chosen],
        is_test=np.array(held_out, dtype=np.bool_),
        split_id="declared" if raw.splits is not None else f"hash:{test_fraction}",
        quarantine=raw.quarantine,
        notes=raw.notes + (groups.notes if groups else ()),
        groups=groups.of(order) if groups else None,
    )


def _is_finite(values: NDArray[Any]) -> bool:
    """Tell whether all are numbers; the sum says yes at once for all but enormous values."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum(dtype=np.float32)
    return bool(np.isfinite(total) or np.isfinite(values).all())


def _rows(values: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[Any]:
    """Return the chosen rows; all of them as they are are not copied."""
    if np.array_equal(chosen, np.arange(len(values))):
        return values
    found: NDArray[Any] = values[chosen]
    return found


def _test(raw: RawSamples, secret: bytes, patient: str, fraction: float) -> bool:
    if raw.splits is not None:
        return raw.splits[patient] == TEST
    return is_held_out(secret, patient, fraction)


def bounded(patient: NDArray[np.int64], most: int | None) -> NDArray[np.int64]:
    """Return row indices grouped by patient, at most `most` each, evenly spread."""
    order = np.argsort(patient, kind="stable")
    if most is None:
        return order
    _, starts, counts = np.unique(patient[order], return_index=True, return_counts=True)
    keep = [start + spread(count, most) for start, count in zip(starts, counts, strict=True)]
    chosen: NDArray[np.int64] = order[np.concatenate(keep)]
    return chosen


def spread(count: int, most: int | None) -> NDArray[np.int64]:
    """Return the places of samples that are kept of so many: all, or `most` of them, evenly spread."""
    if most is None:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
