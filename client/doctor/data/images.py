"""DICOM images against what the study expects: modality, decoders, pixel spacing, intensity, identifiers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.data.survey import FAR, Survey, is_far, survey
from client.doctor.findings import Finding, Patient, amber, green, red
from common.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from common.data_spec import ImageSpec

UNEVEN = 2.0
LEAST_INSIDE = 0.02
AIR_HU = -300.0
MOST = 0.9
"""Of the images; more are no exceptions."""
PLANAR = ("CT", "MR", "PT")
LEAST_IMAGES = 20


def check(patient: Patient) -> Iterator[Finding]:
    """Look at the index, and at the pixels of some images."""
    look = patient.look
    if look is None or look.cohort is None or look.spec.kind != "dicom":
        return
    name, config = look.dataset(patient.site)
    if config.kind != "dicom":
        return
    look.survey = survey(patient.site, name, config, look.spec)
    _write_names(look.survey, patient.site.private_folder / f"doctor-{name}.csv")
    yield from _identity(look.survey, look.spec)
    yield from _modality(
        look.cohort.quarantine.counts.get("wrong modality", 0), look.survey, look.spec
    )
    yield from _encodings(look.survey)
    yield from _spacing(look.survey, look.spec)
    yield from _intensity(look.survey, look.spec)


def _write_names(found: Survey, path: Path) -> None:
    """Keep the names of what looks wrong at the site, where it can be written."""
    named = found.named.result()
    if named.total or path.exists():
        with suppress(OSError):
            named.write(path)  # makes the folder, mode 700


def _identity(found: Survey, spec: ImageSpec) -> Iterator[Finding]:
    if found.shared:
        yield red(
            f"{found.shared} images (by UID) lie there under two patients.",
            "One person has two identifiers: keep one copy, under one identifier.",
            kind=DataError,
        )
    one_each = found.patients == found.slices >= LEAST_IMAGES
    if one_each and spec.modality in PLANAR:
        yield amber(
            f"Every one of the {found.slices:,} images has a patient of its own.",
            "An export may have put another PatientID into every file: then ε protects an image, not a patient.",
        )


def _modality(others: int, found: Survey, spec: ImageSpec) -> Iterator[Finding]:
    if others > found.slices:
        yield amber(
            f"{others:,} files are of another modality; {found.slices:,} images are {spec.modality}.",
            "See that [data] path is the right folder; the others are left out.",
        )
    else:
        yield green(f"{found.slices:,} {spec.modality} images of {found.patients:,} patients")


def _encodings(found: Survey) -> Iterator[Finding]:
    """Name the encodings in use that nothing here decodes; others do decode, or there were no cohort."""
    for syntax, count in sorted(found.encodings.items()):
        named = _undecoded(syntax)
        if named:
            yield amber(
                f"{count:,} images are in {named}, which nothing here decodes: they are left out.",
                "pip install python-gdcm pyjpegls; see docs/dicom.md.",
            )


def _undecoded(syntax: str) -> str:
    """Return the name of a transfer syntax that no plug-in here decodes; empty where one does."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    uid = UID(syntax)
    with suppress(NotImplementedError):
        if get_decoder(uid).is_available:
            return ""
    return uid.name if uid.is_transfer_syntax and uid.name != syntax else "an unknown encoding"


def _spacing(found: Survey, spec: ImageSpec) -> Iterator[Finding]:
    stated = {place: count for place, count in found.spacings.items() if place is not None}
    unknown = found.spacings[None]
    if unknown and spec.spacing_mm is not None:
        yield amber(
            f"{unknown:,} images do not state their pixel spacing and are left out.",
            "Export them again with PixelSpacing (or ImagerPixelSpacing).",
        )
    if not stated:
        return
    sides = [side for place in stated for side in place]
    listed = (
        f"{min(sides):g} to {max(sides):g} mm" if min(sides) < max(sides) else f"{min(sides):g} mm"
    )
    middle = spec.spacing_mm or _median(stated)
    factor = FAR if spec.spacing_mm else UNEVEN
    far = sum(count for place, count in stated.items() if is_far(place, middle, factor))
    if not far:
        yield green(f"pixel spacing {listed}")
    elif spec.spacing_mm and far >= MOST * sum(stated.values()):
        yield amber(
            f"{far:,} of {found.slices:,} images have pixels far from the study's {middle:g} mm (all: {listed}): "
            "study and archive disagree, not single images.",
            "Ask the coordinator whether [data] spacing_mm in the study is meant for such images, or choose the "
            "data set that the study means.",
        )
    elif spec.spacing_mm:
        yield amber(
            f"{far:,} of {found.slices:,} images have pixels far from the study's {middle:g} mm (all: {listed}).",
            "Look for scouts, screenshots or other body parts; their names are in .consilium, doctor-*.csv.",
        )
    else:
        yield amber(
            f"{far:,} of {found.slices:,} images have pixels unlike the others' {middle:g} mm (all: {listed}).",
            "The study does not resample: ask the coordinator to set [data] spacing_mm.",
        )


def _median(stated: dict[tuple[float, float], int]) -> float:
    """Return the spacing of the image in the middle."""
    seen, half = 0, sum(stated.values()) / 2
    for place, count in sorted(stated.items()):
        seen += count
        if seen >= half:
            return place[0]
    raise ValueError("no spacing")


def _intensity(found: Survey, spec: ImageSpec) -> Iterator[Finding]:
    """Compare the values of some images with the study's window, and with what CT must hold."""
    if spec.intensity != "window":
        return
    looked = airless = outside = 0
    low, high = (
        spec.window_centre - spec.window_width / 2,
        spec.window_centre + spec.window_width / 2,
    )
    for values in _values(found):
        looked += 1
        airless += bool(values.min() > AIR_HU)
        outside += bool(((values > low) & (values < high)).mean() < LEAST_INSIDE)
    if 2 * outside > looked:
        yield amber(
            f"{outside} of {looked} images that were looked at lie outside the study's window "
            f"({low:g} to {high:g}): they become all black or white.",
            "Compare the modality and the kind of image with the study; see the thumbnails on the page.",
        )
    elif spec.modality == "CT" and 2 * airless > looked:
        yield amber(
            f"{airless} of {looked} CT images that were looked at hold no air: their values may not be HU.",
            "See that the export kept RescaleSlope and RescaleIntercept; else export again.",
        )
    elif looked:
        yield green(f"the values of {looked} images that were looked at fit the study's window")


def _values(found: Survey) -> Iterator[NDArray[np.float32]]:
    from client.data.dicom.pixels import rescaled
    from client.data.dicom.quiet import quiet
    from client.data.dicom.unusable import Unusable
    from client.data.files import Reader

    with quiet(), Reader() as reader:
        for image in found.sampled:
            try:
                yield rescaled(image, reader)
            except (Unusable, OSError):
                continue
