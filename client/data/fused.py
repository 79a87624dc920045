"""Fused data: parts of the same patients, each read by its own source and put together patient by patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.cohort import spread
from client.data.config import FusedDataset
from client.data.molecules.source import unlabelled
from client.data.quarantine import MAX_DETAILS, Quarantine, QuarantineLog
from client.data.samples import RawSamples, Source
from client.data.series import unfollowed
from client.data.signals.labels import read_labels
from client.data.signals.source import read_recordings
from client.data.steps.apply import targets_after_steps
from client.data.unlabelled import records, table_rows
from common import plugins
from common.data_spec import FusedSpec
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
        found = {}
        for name in parts_here(dataset, spec):
            part, own = spec.parts[name], dataset.parts[name]
            with_labels = name == spec.target
            try:
                raw = _labelled(own, part, classes) if with_labels else without_labels(own, part)
            except DataError as error:
                where = f"part '{name}', {error.where}"
                raise DataError(error.what, where=where, fix=error.fix) from None
            found[name] = as_seen(name, raw, spec)
        return put_together(found, spec)


def parts_here(dataset: FusedDataset, spec: FusedSpec) -> list[str]:
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


def without_labels(dataset: Any, part: Any) -> RawSamples:
    """Read the samples of a part beside the target; what they are labelled with is not looked for.

    Args:
        dataset: the site's description of the part.
        part: what the study asks for.
    """
    if dataset.kind == "signals":
        log = QuarantineLog()
        return read_recordings(dataset, part, read_labels(dataset, None, log), log)
    if dataset.kind == "table":
        return table_rows(dataset, part)[0]
    if dataset.kind == "records":
        return records(dataset, part, dataset.patient)
    if dataset.kind == "series":
        return unfollowed(dataset, part)
    if dataset.kind == "molecules":
        return unlabelled(dataset, part).raw
    return _labelled(dataset, part, None)


def _labelled(dataset: Any, part: Any, classes: Sequence[str] | None) -> RawSamples:
    source: Source = plugins.load("sources", part.kind)()
    raw = source.load(dataset, part, classes)
    # A compound that stands for itself is nobody who could have other parts.
    compounds = dataset.kind == "molecules" and getattr(dataset, "patient", None) is None
    return replace(raw, nameless=True) if compounds else raw


def as_seen(name: str, raw: RawSamples, spec: FusedSpec) -> RawSamples:
    """Return a part's samples as its network sees them: after the part's own steps.

    Raises:
        DataError: they do not say whose they are, so that they cannot be put to the other parts.
    """
    if raw.nameless:
        raise DataError(
            "The data do not say whose they are, so they cannot be put to the other parts.",
            where=f"part '{name}'",
            fix="Name the patients: a column (patient) of a table, an array (patients) of an .npz file.",
        )
    inputs, _ = targets_after_steps(raw.inputs, np.zeros(len(raw.inputs)), spec.parts[name])
    return replace(raw, inputs=inputs)


def put_together(found: Mapping[str, RawSamples], spec: FusedSpec) -> RawSamples:
    """Return the samples of all patients who have a target, at most as many of each as the study takes.

    Args:
        found: the parts that the site has.
        spec: says where each lies in a sample.
    """
    rows = {name: _rows(part.patients) for name, part in found.items()}
    targets, kept = found[spec.target], _kept(rows, spec)
    inputs = np.zeros((sum(map(len, kept.values())), *spec.input_shape), np.float32)
    for place in spec.layout:
        if place.name in found:
            _fill(inputs, found[place.name].inputs, place, rows[place.name], kept)
    chosen = [_turns(rows[spec.target][patient], places) for patient, places in kept.items()]
    return RawSamples(
        inputs=inputs,
        targets=targets.targets[np.concatenate([np.empty(0, np.int64), *chosen])],
        patients=[patient for patient, places in kept.items() for _ in places],
        splits=targets.splits,
        quarantine=_left_out(found),
        notes=tuple(_notes(found, rows, spec.target)),
    )


def rows_of_part(name: str, found: Mapping[str, RawSamples], spec: FusedSpec) -> list[int]:
    """Return which sample of a part went into each of the samples of `put_together`; -1 where the part is missing."""
    rows = {part: _rows(raw.patients) for part, raw in found.items()}
    own: list[int] = []
    for patient, places in _kept(rows, spec).items():
        mine = rows[name].get(patient)
        own += [-1] * len(places) if mine is None else _turns(mine, places).tolist()
    return own


def _kept(rows: Mapping[str, Rows], spec: FusedSpec) -> Rows:
    """Return the places, in the line of samples that a patient could have, of those that are made."""
    return {
        patient: spread(
            max(len(own[patient]) for own in rows.values() if patient in own),
            spec.max_samples_per_patient,
        )
        for patient in rows[spec.target]
    }


def _rows(patients: Sequence[str]) -> Rows:
    found: dict[str, list[int]] = {}
    for row, patient in enumerate(patients):
        found.setdefault(patient, []).append(row)
    return {patient: np.array(each, np.int64) for patient, each in found.items()}


def _turns(rows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows at some places of a line in which the first comes again after the last."""
    return rows[places % len(rows)]


def _fill(
    inputs: NDArray[np.float32],
    values: NDArray[np.float32],
    place: Place,
    rows: Rows,
    kept: Rows,
) -> None:
    """Write a part into the samples of the patients who have it."""
    end = 0
    for patient, places in kept.items():
        start, end = end, end + len(places)
        if patient in rows:
            chosen = values[_turns(rows[patient], places)]
            inputs[start:end, place.flag] = 1.0
            inputs[start:end, place.start : place.end] = chosen.reshape(len(places), -1)


def _left_out(found: Mapping[str, RawSamples]) -> Quarantine:
    """Join what the parts left out."""
    counts: Counter[str] = Counter()
    details: list[tuple[str, str]] = []
    for name, part in found.items():
        counts.update(part.quarantine.counts)
        details += [(f"{name}: {what}", reason) for what, reason in part.quarantine.details]
    return Quarantine(dict(sorted(counts.items())), tuple(details[:MAX_DETAILS]))


def _notes(found: Mapping[str, RawSamples], rows: Mapping[str, Rows], target: str) -> list[str]:
    """Say how many patients lack a part, and how many lack the one with the target."""
    notes = [f"Part '{name}': {note}" for name, part in found.items() for note in part.notes]
    everybody = set(rows[target])
    for name, own in rows.items():
        lacking, strangers = len(everybody - set(own)), len(set(own) - everybody)
        if lacking:
            notes.append(f"Part '{name}': {lacking} of {len(everybody)} patients do not have it.")
        if strangers:
            notes.append(
                f"Part '{name}': {strangers} patients are not in part '{target}' and are left out."
            )
    return notes
