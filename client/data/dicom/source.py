"""DICOM: slices of labelled patients, cut, resampled and windowed by the study's constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.config import DicomDataset
from client.data.dicom.findings import Findings, read_findings
from client.data.dicom.labels import Labels, read_labels
from client.data.dicom.marks import read_marks
from client.data.dicom.parallel import Made, Recipe, read_samples
from client.data.dicom.reports import read_reports
from client.data.dicom.selection import Selection
from client.data.dicom.spots import read_spots
from client.data.dicom.spotted import Spotter
from client.data.index.archive import Archive, archive
from client.data.quarantine import QuarantineLog
from client.data.samples import RawSamples
from common.data_spec import ImageSpec
from common.errors import DataError, StudyError


class DicomSource:
    """Reads `kind = "dicom"`.

    Attributes:
        archive: the data set's index, up to date; none: one is made for this time only.
        order: patients are read in the order of this.
    """

    archive: Archive | None = None
    order: Callable[[str], Any] = str

    def load(
        self, dataset: DicomDataset, spec: ImageSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Index the files, choose the slices and read them, patient by patient (see `Source.load`)."""
        log = QuarantineLog()
        labels = read_labels(
            dataset, _classes(spec, classes), points=spec.centre == "point", log=log
        )
        findings = read_findings(dataset, classes) if spec.labels == "classes" else None
        if spec.labels == "text":
            findings = read_reports(dataset, spec, log)
            labels = replace(
                labels, number={p: n for p, n in labels.number.items() if p in findings}
            )
        spotter = None
        if spec.labels == "points":
            spots = read_spots(dataset, log)
            labels = replace(labels, number={p: n for p, n in labels.number.items() if p in spots})
            spotter = Spotter(spec, spots)
        with self._held(dataset, spec) as held:
            held.refuse(log, besides=[dataset.labels])
            patients = sorted(_labelled(held, labels, dataset, log), key=self.order)
            marks = read_marks(dataset, spec, patients, log)
            selection = Selection(held, spec, patients, labels.points, marks)
            chosen = selection.cuts(log)
            chosen = chosen if spotter is None else spotter.noted(chosen)
            made = read_samples(chosen, Recipe(spec, marks.structures), log)
        names = [patients[selection.owners[number]] for number in made.kept]
        return RawSamples(
            inputs=made.inputs,
            targets=_targets(labels, findings, spotter, names, made),
            patients=names,
            splits=labels.splits,
            quarantine=log.result(),
            notes=_notes(labels, patients, selection, spotter),
        )

    def _held(self, dataset: DicomDataset, spec: ImageSpec) -> AbstractContextManager[Archive]:
        if self.archive is None:
            return archive(dataset.path, spec.modality)
        return nullcontext(self.archive)


def _classes(spec: ImageSpec, classes: Sequence[str] | None) -> Sequence[str] | None:
    """Return the classes that the table of labels must have; none where it has no classes.

    Raises:
        StudyError: the study wants classes, and its task has none.
    """
    if spec.labels == "class" and classes is None:
        raise StudyError("Images need a task with classes.", where="[task]")
    return classes if spec.labels == "class" else None


def _labelled(
    held: Archive, labels: Labels, dataset: DicomDataset, log: QuarantineLog
) -> list[str]:
    """Return the patients with images and a label, sorted; the files of the others are left out."""
    found, strangers = [], 0
    for patient in held.patients():
        if patient in labels.number:
            found.append(patient)
            continue
        strangers += 1
        for name in held.names(patient):
            log.add(name, "patient without a label")
    if strangers and not found:
        raise DataError(
            f"None of the {strangers} patients with images has a label; "
            f"the labels are of {len(labels.number)} others.",
            where=str(dataset.labels),
            fix="Compare the identifiers: leading zeros are lost in spreadsheets.",
        )
    return found


def _targets(
    labels: Labels,
    findings: Findings | None,
    spotter: Spotter | None,
    patients: Sequence[str],
    made: Made,
) -> NDArray[Any]:
    if made.masks is not None:
        return made.masks
    if spotter is not None and len(made.kept):
        return spotter.targets(made.kept)
    if findings is not None:
        return np.stack([findings[name] for name in patients])
    return np.array([labels.number[name] for name in patients], dtype=np.int64)


def _notes(
    labels: Labels, patients: Sequence[str], selection: Selection, spotter: Spotter | None
) -> tuple[str, ...]:
    absent = len(labels.number) - len(patients)
    notes = [f"{absent} labelled patients have no usable images."] if absent else []
    for risk, count in sorted(selection.burnt_in.items(), key=lambda item: item[0].value):
        notes.append(f"{count} images used: {risk.value}.")
    if spotter is not None and spotter.crowded:
        notes.append(
            f"{spotter.crowded} images have more points than max_points: the largest are kept."
        )
    return tuple(notes)
