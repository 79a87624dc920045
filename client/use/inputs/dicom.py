"""DICOM images; every patient is a case, all of its samples count together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from client.data.config import DicomDataset
from client.data.dicom.labels import read_labels
from client.data.dicom.marks import read_marks
from client.data.dicom.parallel import Recipe, read_samples
from client.data.dicom.selection import Selection
from client.data.dicom.slices import Vector
from client.data.index.archive import archive
from client.data.quarantine import QuarantineLog
from client.use.cases import Cases
from client.use.images import numbered
from common.data_spec import ImageSpec
from common.errors import StudyError

Points = Mapping[str, Sequence[Vector]]


def read(dataset: DicomDataset, spec: ImageSpec) -> Cases:
    """Index the files, choose the slices and read them, as for training.

    Raises:
        DataError: there are no such files, or a table beside them cannot be read.
        StudyError: the study crops round points, and no table of points was given.
    """
    log = QuarantineLog()
    plain = unlabelled(spec)
    points = points_of(dataset, plain, log)
    with archive(dataset.path, spec.modality) as held:
        held.refuse(log)
        patients = list(held.patients())
        marks = read_marks(dataset, plain, patients, log)
        selection = Selection(held, plain, patients, points, marks)
        chosen = list(selection.cuts(log))
        made = read_samples(chosen, Recipe(plain), log)
    owners = np.array(selection.owners, np.int64)[made.kept]
    cuts = [chosen[number] for number in made.kept]
    return Cases(
        inputs=made.inputs,
        case=owners,
        names=patients,
        about=numbered(cuts, owners.tolist()),
        cuts=cuts,
        quarantine=log.result(),
    )


def unlabelled(spec: ImageSpec) -> ImageSpec:
    """Return the study's data without what they are labelled with."""
    return spec.model_copy(update={"labels": "none", "structures": ()})


def points_of(dataset: DicomDataset, spec: ImageSpec, log: QuarantineLog) -> Points:
    """Read the points of interest, where the study crops round them.

    Raises:
        StudyError: it does, and there is no table; or it crops round a structure, and there are no segmentations.
    """
    if spec.centre == "mask" and dataset.masks is None:
        raise StudyError(
            "The study cuts images round a structure of every patient.",
            where="[data] centre",
            fix="Give the segmentations of these images: --masks FOLDER, of a part --part NAME.masks=FOLDER.",
        )
    if spec.centre != "point":
        return {}
    if dataset.labels == dataset.path:
        raise StudyError(
            "The study cuts images round a point of every patient.",
            where="[data] centre",
            fix="Give a table with patient_id, x_mm, y_mm, z_mm: --points FILE, of a part --part NAME.labels=FILE.",
        )
    return read_labels(dataset, None, points=True, log=log).points
