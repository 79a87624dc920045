"""Fused data: parts of the same patients, each read by its own source and put together patient by patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.config import FusedDataset
from client.data.config_base import Dataset
from client.data.quarantine import MAX_DETAILS, Quarantine, QuarantineLog
from client.data.samples import RawSamples, Source
from client.data.signals.config import SignalDataset
from client.data.signals.labels import read_labels
from client.data.signals.source import read_recordings
from client.data.steps.apply import targets_after_steps
from common import plugins
from common.data_spec import FusedSpec, SignalSpec
from common.data_spec.fused import Place
from common.errors import DataError, StudyError

Rows = Mapping[str, NDArray[np.int64]]
"""The numbers of every patient's samples, in their order."""


class FusedSource:
    """Reads `kind = "fused"`."""

    def load(
        self, dataset: FusedDataset, spec: FusedSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read every part and put the patients together (see `Source.load`).

        A patient has as many samples as the part of which it has most; the others start over from their first.
        """
        found = {
            name: _read(name, dataset.parts[name], spec, classes) for name in _here(dataset, spec)
        }
        return put_together(found, spec)


def put_together(found: Mapping[str, RawSamples], spec: FusedSpec) -> RawSamples:
    """Return the samples of all patients who have a target.

    Args:
        found: the parts that the site has.
        spec: says where each lies in a sample.
    """
    rows = {name: _rows(part.patients) for name, part in found.items()}
    targets = found[spec.target]
    patients = list(rows[spec.target])
    counts = [max(len(r[p]) for r in rows.values() if p in r) for p in patients]
    inputs = np.zeros((sum(counts), *spec.input_shape), np.float32)
    for place in spec.layout:
        if place.name in found:
            _fill(inputs, found[place.name].inputs, place, rows[place.name], patients, counts)
    chosen = [_turns(rows[spec.target][p], n) for p, n in zip(patients, counts, strict=True)]
    return RawSamples(
        inputs=inputs,
        targets=targets.targets[np.concatenate([np.empty(0, np.int64), *chosen])],
        patients=[p for p, n in zip(patients, counts, strict=True) for _ in range(n)],
        splits=targets.splits,
        quarantine=_left_out(found),
        notes=tuple(_notes(found, rows, patients)),
    )


def _here(dataset: FusedDataset, spec: FusedSpec) -> list[str]:
    """Return the names of the parts that the site has.

    Raises:
        StudyError: a part is neither described nor declared absent, or is of another kind.
        DataError: the part with the target is absent.
    """
    if spec.target in dataset.absent:
        raise DataError(f"The part '{spec.target}' is absent, and it holds the target.", where="")
    for name, part in spec.parts.items():
        if name in dataset.absent:
            continue
        kind = str(getattr(part, "kind", ""))
        if name not in dataset.parts:
            raise StudyError(
                f"The data set has no part '{name}' of kind '{kind}'.",
                where="[data] parts",
                fix=f"{plugins.nearest(name, dataset.parts)}Describe it, or list it in `absent`.",
            )
        if dataset.parts[name].kind != kind:
            raise StudyError(
                f"The study's part '{name}' is of kind '{kind}', the site's '{dataset.parts[name].kind}'.",
                where="[data] parts",
            )
    return [name for name in sorted(spec.parts) if name not in dataset.absent]


def _read(
    name: str, dataset: Dataset, spec: FusedSpec, classes: Sequence[str] | None
) -> RawSamples:
    """Read one part; its samples are as its network sees them."""
    part = spec.parts[name]
    try:
        raw = _samples(dataset, part, classes if name == spec.target else None, name == spec.target)
    except DataError as error:
        raise DataError(error.what, where=f"part '{name}', {error.where}", fix=error.fix) from None
    inputs, _ = targets_after_steps(raw.inputs, np.zeros(len(raw.inputs)), part)
    return RawSamples(inputs, raw.targets, raw.patients, raw.splits, raw.quarantine, raw.notes)


def _samples(
    dataset: Dataset, part: Any, classes: Sequence[str] | None, labelled: bool
) -> RawSamples:
    if isinstance(part, SignalSpec) and isinstance(dataset, SignalDataset) and not labelled:
        log = QuarantineLog()
        return read_recordings(dataset, part, read_labels(dataset, None, log), log)
    source: Source = plugins.load("sources", part.kind)()
    return source.load(dataset, part, classes)


def _rows(patients: Sequence[str]) -> Rows:
    found: dict[str, list[int]] = {}
    for row, patient in enumerate(patients):
        found.setdefault(patient, []).append(row)
    return {patient: np.array(each, np.int64) for patient, each in found.items()}


def _turns(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return so many of the rows; after the last comes the first again."""
    return np.resize(rows, count)


def _fill(
    inputs: NDArray[np.float32],
    values: NDArray[np.float32],
    place: Place,
    rows: Rows,
    patients: Sequence[str],
    counts: Sequence[int],
) -> None:
    """Write a part into the samples of the patients who have it."""
    end = 0
    for patient, count in zip(patients, counts, strict=True):
        start, end = end, end + count
        if patient in rows:
            chosen = values[_turns(rows[patient], count)]
            inputs[start:end, place.flag] = 1.0
            inputs[start:end, place.start : place.end] = chosen.reshape(count, -1)


def _left_out(found: Mapping[str, RawSamples]) -> Quarantine:
    """Join what the parts left out."""
    counts: Counter[str] = Counter()
    details: list[tuple[str, str]] = []
    for name, part in found.items():
        counts.update(part.quarantine.counts)
        details += [(f"{name}: {what}", reason) for what, reason in part.quarantine.details]
    return Quarantine(dict(sorted(counts.items())), tuple(details[:MAX_DETAILS]))


def _notes(
    found: Mapping[str, RawSamples], rows: Mapping[str, Rows], patients: Sequence[str]
) -> list[str]:
    """Say how many patients lack a part, and how many have no target."""
    notes = [f"Part '{name}': {note}" for name, part in found.items() for note in part.notes]
    everybody = set(patients)
    for name, own in rows.items():
        lacking, strangers = len(everybody - set(own)), len(set(own) - everybody)
        if lacking:
            notes.append(f"Part '{name}': {lacking} of {len(everybody)} patients do not have it.")
        if strangers:
            notes.append(f"Part '{name}': {strangers} patients have no target and are left out.")
    return notes
