"""Writes what a network says of a patient's images as a DICOM structured report (PS3.16, TID 1500) with highdicom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from client.export.dicom_seg import SCHEME, Author, Identity


def write_sr(
    path: Path,
    images: Sequence[Dataset],
    figures: Mapping[str, float],
    words: Mapping[str, str],
    author: Author,
    identity: Identity | None = None,
) -> None:
    """Write a report that PACS and viewers list beside the images.

    It belongs to the patient and the study of the images, and repeats what identifies them. It is marked as not
    verified: nobody has read it.

    Args:
        path: of the file.
        images: headers of the images that it is about, each once.
        figures: what was measured, without unit: the chance of a finding, by name.
        words: what was concluded, by name.
        author: the network.
        identity: UIDs and time; none: new ones.
    """
    from highdicom.sr import ComprehensiveSR

    own = identity or Identity()
    made = ComprehensiveSR(
        evidence=_once(images),
        content=_content(figures, words, author, own),
        series_instance_uid=own.series,
        series_number=901,
        sop_instance_uid=own.instance,
        instance_number=1,
        manufacturer="Consilium",
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    _stamp(made, own)
    made.SeriesDescription = author.name[:64]
    made.save_as(path)


def _stamp(made: Dataset, own: Identity) -> None:
    """Put in the times that highdicom makes up."""
    day, time = own.moment.strftime("%Y%m%d"), own.moment.strftime("%H%M%S")
    made.ContentDate = made.InstanceCreationDate = made.SeriesDate = day
    made.ContentTime = made.InstanceCreationTime = made.SeriesTime = time


def _once(images: Sequence[Dataset]) -> list[Dataset]:
    """Return one header for each object: the frames of a file are one."""
    return list({str(image.SOPInstanceUID): image for image in images}.values())


def _content(
    figures: Mapping[str, float], words: Mapping[str, str], author: Author, own: Identity
) -> Any:
    """Return the tree of a measurement report."""
    from highdicom import sr
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    program = sr.AlgorithmIdentification(name=author.name, version=author.version)
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identifier=author.name, uid=own.dimensions),
        algorithm_id=program,
        measurements=[
            sr.Measurement(name=_code(name), value=value, unit=codes.UCUM.NoUnits)
            for name, value in figures.items()
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(name=_code(name), value=_code(value))
            for name, value in words.items()
        ],
    )
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=own.dimensions, name=author.name[:64]
        ),
    )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )


def _code(name: str) -> Any:
    """Return a code that says no more than the name that the study gives."""
    from highdicom.sr import CodedConcept

    return CodedConcept(name.upper()[:16], SCHEME, name[:64])
