"""What a header says of one frame: place, spacing, rescale and window.

Enhanced objects keep these in functional groups, of the frame or shared by all; older ones at the
top of the header; nuclear medicine and ultrasound in sequences of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from client.data.dicom.slices import Geometry, Window
from client.data.dicom.unusable import Unusable

KEYWORDS = (
    "ImagePositionPatient ImageOrientationPatient PixelSpacing ImagerPixelSpacing "
    "NominalScannedPixelSpacing EstimatedRadiographicMagnificationFactor "
    "SequenceOfUltrasoundRegions DetectorInformationSequence SpacingBetweenSlices SliceVector "
    "RescaleIntercept RescaleSlope WindowCenter WindowWidth VOILUTFunction "
    "TemporalPositionIdentifier EchoNumbers DiffusionBValue AcquisitionNumber "
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence"
)
_GROUPS = (0x52009230, 0x52009229)  # per frame, shared
_NOTHING = Dataset()
_CENTIMETRE = 3  # PhysicalUnitsXDirection of an ultrasound region
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def group(header: Dataset, frame: int, name: str) -> Dataset:
    """Find an enhanced object's functional group: the frame's own, else the shared one."""
    for sequence in (tag for tag in _GROUPS if tag in header):
        groups = header[sequence].value
        place = frame if sequence == _GROUPS[0] else 0
        if place < len(groups) and groups[place].get(name):
            found: Dataset = groups[place].get(name)[0]
            return found
    return _NOTHING


def geometry(header: Dataset, frame: int, frames: int) -> Geometry | None:
    """Return where the frame lies; nothing where the file does not say, or says nonsense."""
    position = group(header, frame, "PlanePositionSequence").get("ImagePositionPatient")
    plane = group(header, frame, "PlaneOrientationSequence").get("ImageOrientationPatient")
    away = 0.0
    if position is None and frames == 1:
        position = header.get("ImagePositionPatient")
    plane = plane or header.get("ImageOrientationPatient")
    detectors = header.get("DetectorInformationSequence")
    if position is None and detectors:  # reconstructed nuclear medicine: one place for all frames
        numbers = header.get("SliceVector") or range(1, frames + 1)
        position = detectors[0].get("ImagePositionPatient")
        plane = plane or detectors[0].get("ImageOrientationPatient")
        away = float(header.get("SpacingBetweenSlices") or 0) * (int(numbers[frame]) - 1)
    found = _placed(position, plane)
    if found is None or not away:
        return found
    return Geometry(found.position + away * found.normal, found.across, found.down)


def _placed(position: Any, plane: Any) -> Geometry | None:
    if position is None or plane is None or len(position) != 3 or len(plane) != 6:
        return None
    axes = np.array([float(v) for v in plane])
    place = np.array([float(v) for v in position])
    across, down = axes[:3], axes[3:]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if not np.isfinite(place).all() or not np.allclose(lengths, 1.0, atol=0.05):
        return None
    across, down = across / lengths[0], down / lengths[1]
    return Geometry(place, across, down) if abs(across @ down) < 0.05 else None


def spacing(header: Dataset, frame: int) -> tuple[float, float] | None:
    """Return mm between rows and between columns, in the plane of the body where that is known."""
    found = group(header, frame, "PixelMeasuresSequence").get("PixelSpacing")
    found = found or header.get("PixelSpacing")
    factor = 1.0
    if not found and header.get(
        "ImagerPixelSpacing"
    ):  # at the detector, where the shadow is larger
        found = header.ImagerPixelSpacing
        factor = float(header.get("EstimatedRadiographicMagnificationFactor") or 1.0)
    found = found or header.get("NominalScannedPixelSpacing") or _ultrasound(header)
    if not found or len(found) != 2 or not factor >= 1.0:
        return None
    rows, columns = float(found[0]) / factor, float(found[1]) / factor
    return (rows, columns) if 1e-4 < rows < 1e3 and 1e-4 < columns < 1e3 else None


def _ultrasound(header: Dataset) -> list[float] | None:
    """Return the spacing that all regions of an ultrasound image agree on."""
    found = set()
    for region in header.get("SequenceOfUltrasoundRegions") or ():
        units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
        if units == (_CENTIMETRE, _CENTIMETRE):
            rows, columns = float(region.PhysicalDeltaY), float(region.PhysicalDeltaX)
            found.add((round(abs(rows) * 10.0, 6), round(abs(columns) * 10.0, 6)))
    return list(found.pop()) if len(found) == 1 else None


def rescale(header: Dataset, frame: int) -> tuple[float, float]:
    """Return slope and intercept.

    Raises:
        Unusable: they are no numbers, or the slope is 0.
    """
    own = group(header, frame, "PixelValueTransformationSequence")
    numbers = []
    for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        value = own.get(name) if own.get(name) is not None else header.get(name)
        numbers.append(default if value is None or value == "" else float(value))
    if not np.isfinite(numbers).all() or numbers[0] == 0.0:
        raise Unusable("impossible rescale")
    return numbers[0], numbers[1]


def window(header: Dataset, frame: int) -> Window | None:
    """Return the first window that the file wants to be shown with."""
    own = group(header, frame, "FrameVOILUTSequence")
    own = own if "WindowCenter" in own else header
    centre, width = _first(own.get("WindowCenter")), _first(own.get("WindowWidth"))
    function = str(own.get("VOILUTFunction") or "LINEAR").strip().upper()
    if centre is None or width is None or function not in _FUNCTIONS:
        return None
    least = 1.0 if function == "LINEAR" else 0.0
    usable = np.isfinite((centre, width)).all() and width > least
    return Window(centre, width, function) if usable else None


def _first(value: Any) -> float | None:
    values = value if isinstance(value, list | tuple) or hasattr(value, "__iter__") else [value]
    first = next(iter(values), None) if not isinstance(value, str) else value
    return None if first is None or first == "" else float(first)


def stack(header: Dataset, frame: int) -> str:
    """Return what keeps apart images of one place: phase, echo, b-value, kind; and then acquisition."""
    content = group(header, frame, "FrameContentSequence")
    diffusion = group(header, frame, "MRDiffusionSequence")
    echo = group(header, frame, "MREchoSequence")
    parts = (
        content.get("StackID"),
        content.get("TemporalPositionIndex") or header.get("TemporalPositionIdentifier"),
        diffusion.get("DiffusionBValue") or header.get("DiffusionBValue"),
        echo.get("EffectiveEchoTime") or header.get("EchoNumbers"),
        _kind(header, frame),
        content.get("FrameAcquisitionNumber") or header.get("AcquisitionNumber"),
    )
    return "|".join("" if part is None else str(part)[:32].replace("|", "") for part in parts)


def _kind(header: Dataset, frame: int) -> str:
    """Return what sort of image it is beyond original and primary, e.g. magnitude or phase."""
    names = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
    groups = (group(header, frame, name).get("FrameType") for name in names)
    words = next((found for found in groups if found), None) or header.get("ImageType") or ()
    return " ".join(str(word) for word in list(words)[2:])
