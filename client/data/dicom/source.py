"""DICOM: slices of labelled patients, cut, resampled and windowed by the study's constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.data.config import DicomDataset
from client.data.dicom.header import Unusable
from client.data.dicom.index import index
from client.data.dicom.labels import Labels, read_labels
from client.data.dicom.pixels import rescaled
from client.data.dicom.quiet import quiet
from client.data.dicom.resample import patch, windowed
from client.data.dicom.select import Cut, cuts
from client.data.dicom.slices import Slice
from client.data.files import Reader
from client.data.quarantine import QuarantineLog
from client.data.samples import RawSamples
from common.data_spec import ImageSpec
from common.errors import DataError, StudyError

AIR_HU = -1000.0


class DicomSource:
    """Reads `kind = "dicom"`."""

    def load(
        self, dataset: DicomDataset, spec: ImageSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Index the files, choose the slices and read them (see `Source.load`)."""
        if classes is None:
            raise StudyError("Images need a task with classes.", where="[task]")
        log = QuarantineLog()
        labels = read_labels(dataset, classes, points=spec.centre == "point", log=log)
        slices = index(dataset.path, spec.modality, log, besides=[dataset.labels])
        patients = _labelled(slices, labels, dataset, log)
        chosen = [
            (patient, cut)
            for patient in sorted(patients)
            for cut in cuts(patients[patient], labels.points.get(patient, ()), spec, log)
        ]
        inputs, kept = _read([cut for _, cut in chosen], spec, log)
        names = [chosen[number][0] for number in kept]
        return RawSamples(
            inputs=inputs,
            targets=np.array([labels.number[name] for name in names], dtype=np.int64),
            patients=names,
            splits=labels.splits,
            quarantine=log.result(),
            notes=_notes(labels, patients),
        )


def _labelled(
    slices: Sequence[Slice], labels: Labels, dataset: DicomDataset, log: QuarantineLog
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


def _notes(labels: Labels, patients: dict[str, list[Slice]]) -> tuple[str, ...]:
    absent = len(labels.number) - len(patients)
    return (f"{absent} labelled patients have no usable images.",) if absent else ()


def _read(
    chosen: Sequence[Cut], spec: ImageSpec, log: QuarantineLog
) -> tuple[NDArray[np.float32], list[int]]:
    """Read the patches [n, 1, rows, columns]; return them with the numbers of those that could be."""
    patches = np.empty((len(chosen), *spec.input_shape), dtype=np.float32)
    kept: list[int] = []
    last: Slice | None = None
    image: NDArray[np.float32] | None = None
    with quiet(), Reader() as reader:
        for number, cut in enumerate(chosen):
            if cut.slice is not last:
                last, image = cut.slice, _image(cut.slice, reader, log)
            if image is not None:
                patches[len(kept), 0] = _patch(image, cut, spec)
                kept.append(number)
    return patches[: len(kept)], kept


def _image(found: Slice, reader: Reader, log: QuarantineLog) -> NDArray[np.float32] | None:
    try:
        return rescaled(found, reader)
    except Unusable as reason:
        log.add(found.file.name, str(reason))
    except OSError:
        log.add(found.file.name, "cannot be read")
    return None


def _patch(image: NDArray[np.float32], cut: Cut, spec: ImageSpec) -> NDArray[np.float32]:
    lowest = spec.window_centre - spec.window_width / 2.0
    pad = AIR_HU if spec.modality == "CT" else lowest
    step, centre = (1.0, 1.0), cut.centre
    if spec.spacing_mm is not None and cut.slice.spacing_mm is not None:
        rows, columns = cut.slice.spacing_mm
        step = (spec.spacing_mm / rows, spec.spacing_mm / columns)
    else:  # whole pixels: nothing is interpolated
        half = (np.array(spec.image_size) - 1) / 2.0
        centre = np.floor(centre - half + 0.5) + half
    cut_out = patch(image, centre, step, spec.image_size, pad)
    return windowed(cut_out, spec.window_centre, spec.window_width)
