"""DICOM: slices of labelled patients, cut, resampled and windowed by the study's constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from client.data.config import DicomDataset
from client.data.dicom.index import index
from client.data.dicom.labels import Labels, read_labels
from client.data.dicom.parallel import read_samples
from client.data.dicom.select import cuts
from client.data.dicom.slices import Slice, Vector
from client.data.index.archive import Archive
from client.data.masks import middles
from client.data.quarantine import QuarantineLog
from client.data.samples import RawSamples
from common.data_spec import ImageSpec
from common.errors import DataError, StudyError


class DicomSource:
    """Reads `kind = "dicom"`.

    Attributes:
        archive: the data set's index, up to date; none: one is made for this time only.
    """

    archive: Archive | None = None

    def load(
        self, dataset: DicomDataset, spec: ImageSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Index the files, choose the slices and read them (see `Source.load`)."""
        if classes is None:
            raise StudyError("Images need a task with classes.", where="[task]")
        log = QuarantineLog()
        labels = read_labels(dataset, classes, points=spec.centre == "point", log=log)
        patients = _labelled(self._slices(dataset, spec, log), labels, dataset, log)
        points = _points(patients, labels, dataset, spec, log)
        chosen = [
            (patient, cut)
            for patient in sorted(patients)
            for cut in cuts(patients[patient], points.get(patient, ()), spec, log)
        ]
        inputs, kept = read_samples([cut for _, cut in chosen], spec, log)
        names = [chosen[number][0] for number in kept]
        return RawSamples(
            inputs=inputs,
            targets=np.array([labels.number[name] for name in names], dtype=np.int64),
            patients=names,
            splits=labels.splits,
            quarantine=log.result(),
            notes=_notes(labels, patients),
        )

    def _slices(
        self, dataset: DicomDataset, spec: ImageSpec, log: QuarantineLog
    ) -> Iterable[Slice]:
        if self.archive is None:
            return index(dataset.path, spec.modality, log, besides=[dataset.labels])
        self.archive.refuse(log, besides=[dataset.labels])
        return self.archive.everything()


def _labelled(
    slices: Iterable[Slice], labels: Labels, dataset: DicomDataset, log: QuarantineLog
) -> dict[str, list[Slice]]:
    """Group by patient; files of patients without a label are left out."""
    patients: dict[str, list[Slice]] = {}
    strangers: set[str] = set()
    for found in slices:
        if found.patient in labels.number:
            patients.setdefault(found.patient, []).append(found)
        elif found.frame == 0:
            strangers.add(found.patient)
            log.add(found.file.name, "patient without a label")
    if strangers and not patients:
        raise DataError(
            f"None of the {len(strangers)} patients with images has a label; "
            f"the labels are of {len(labels.number)} others.",
            where=str(dataset.labels),
            fix="Compare the identifiers: leading zeros are lost in spreadsheets.",
        )
    return patients


def _points(
    patients: Mapping[str, Sequence[Slice]],
    labels: Labels,
    dataset: DicomDataset,
    spec: ImageSpec,
    log: QuarantineLog,
) -> Mapping[str, Sequence[Vector]]:
    """Return the points of interest: of the labels, or the middles of a structure in the masks."""
    if spec.structure is None:
        return labels.points
    if dataset.masks is None:
        raise DataError(
            "The study crops round a structure, but the site has no masks.",
            where="masks",
            fix="Set masks in site.toml to the folder of the segmentations.",
        )
    name = dataset.structures.get(spec.structure, spec.structure)
    points = middles(dataset.masks, name, set(patients), log)
    for patient in sorted(set(patients) - set(points)):
        log.add(patients[patient][0].file.name, "patient without the structure in the masks")
    return points


def _notes(labels: Labels, patients: dict[str, list[Slice]]) -> tuple[str, ...]:
    absent = len(labels.number) - len(patients)
    return (f"{absent} labelled patients have no usable images.",) if absent else ()
