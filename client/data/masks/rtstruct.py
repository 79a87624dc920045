"""RTSTRUCT: structures drawn as contours (PS3.3, A.19)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from client.data.dicom.elements import tags
from client.data.dicom.slices import Vector
from client.data.dicom.unusable import Unusable
from client.data.masks.regions import NOWHERE, Mask, Points, Region

TAGS = tags(
    "FrameOfReferenceUID ReferencedFrameOfReferenceSequence StructureSetROISequence ROIContourSequence"
)
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_FLAT_MM = 0.1
_SLACK = 1.001


class ContourRegion:
    """Closed contours on parallel planes; a contour within another one is a hole.

    A point belongs to the plane that it is nearest to, if that is no further than half the usual
    distance between planes.
    """

    def __init__(self, contours: Sequence[Points]) -> None:
        """Group the contours by plane.

        Args:
            contours: [n, 3] corners each (mm); at least one, with at least three corners.

        Raises:
            Unusable: a contour is not flat, or they are not parallel.
        """
        normal = max((_area(contour) for contour in contours), key=lambda v: float(v @ v))
        length = float(np.linalg.norm(normal))
        if not length > 0.0:
            raise Unusable("contours without area")
        self._normal = normal / length
        across = np.eye(3)[int(np.abs(self._normal).argmin())]
        across = across - (across @ self._normal) * self._normal
        self._across = across / np.linalg.norm(across)
        self._down = np.cross(self._normal, self._across)
        planes: dict[float, list[Points]] = defaultdict(list)
        for contour in contours:
            depths = contour @ self._normal
            if np.ptp(depths) > _FLAT_MM:
                raise Unusable("contours that are not flat or not parallel")
            planes[round(float(depths.mean()), 1)].append(self._flat(contour))
        self._planes = dict(sorted(planes.items()))
        gaps = np.diff(list(self._planes))
        self._gap = float(np.median(gaps)) if len(gaps) else 1.0

    def _flat(self, points: Points) -> Points:
        return np.stack([points @ self._across, points @ self._down], axis=1)

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Tell which points [n, 3] (mm) lie inside."""
        depths, flat = points @ self._normal, self._flat(points)
        places = np.array(list(self._planes))
        nearest = np.abs(depths[:, None] - places[None, :]).argmin(axis=1)
        inside = np.zeros(len(points), dtype=np.bool_)
        near = np.abs(depths - places[nearest]) <= self._gap / 2 * _SLACK
        for number, contours in enumerate(self._planes.values()):
            mine = np.flatnonzero(near & (nearest == number))
            for contour in contours if len(mine) else ():
                inside[mine] ^= _within(flat[mine], contour)
        return inside

    def middle(self) -> Vector:
        """Return the centre of mass [3] (mm)."""
        total, summed = 0.0, np.zeros(3)
        for depth, contours in self._planes.items():
            sign = [_signed(contour) for contour in contours]
            largest = np.argmax([abs(area) for area, _ in sign])
            for number, (area, middle) in enumerate(sign):
                hole = number != largest and bool(
                    _within(contours[number][:1], contours[int(largest)])[0]
                )
                weight = -abs(area) if hole else abs(area)
                place = middle[0] * self._across + middle[1] * self._down + depth * self._normal
                summed += weight * place
                total += weight
        return summed / total


def read_rtstruct(header: Dataset, patient: str) -> list[Mask]:
    """Return the structures: those without a closed contour are nowhere.

    Raises:
        Unusable: with the reason.
    """
    drawn = {
        int(roi.ReferencedROINumber): _contours(roi)
        for roi in header.get("ROIContourSequence") or ()
    }
    found = []
    for roi in header.StructureSetROISequence:
        contours = drawn.get(int(roi.ROINumber))
        region: Region = ContourRegion(contours) if contours else NOWHERE
        name = str(roi.get("ROIName") or roi.ROINumber)
        found.append(Mask((patient,), name, _frame(header, roi), region))
    return found


def _contours(roi: Dataset) -> list[Points]:
    """Return the closed contours of a structure."""
    drawn = [
        np.array([float(v) for v in contour.ContourData]).reshape(-1, 3)
        for contour in roi.get("ContourSequence") or ()
        if str(contour.get("ContourGeometricType") or "") in _CLOSED
    ]
    drawn = [contour for contour in drawn if len(contour) >= 3]
    if any(not np.isfinite(contour).all() for contour in drawn):
        raise Unusable("contours that are no numbers")
    return drawn


def _frame(header: Dataset, roi: Dataset) -> str:
    """Return the frame of reference of a structure: its own, or the only one of the file."""
    own = roi.get("ReferencedFrameOfReferenceUID") or header.get("FrameOfReferenceUID")
    referenced = header.get("ReferencedFrameOfReferenceSequence") or ()
    stated = {str(each.get("FrameOfReferenceUID") or "") for each in referenced}
    return str(own or "") or (stated.pop() if len(stated) == 1 else "")


def _area(contour: Points) -> Vector:
    """Return the area of a flat polygon as a vector along its normal."""
    origin = contour - contour[0]
    total: Vector = np.cross(origin, np.roll(origin, -1, axis=0)).sum(axis=0) / 2.0
    return total


def _signed(polygon: Points) -> tuple[float, Vector]:
    """Return the signed area of a polygon [n, 2] and its centre of mass."""
    base = polygon[0]
    here, there = polygon - base, np.roll(polygon, -1, axis=0) - base
    cross = here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]
    area = float(cross.sum()) / 2.0
    if area == 0.0:
        return 0.0, base
    return area, base + ((here + there) * cross[:, None]).sum(axis=0) / (6.0 * area)


def _within(points: Points, polygon: Points) -> NDArray[np.bool_]:
    """Tell which points [n, 2] a polygon encloses: a ray to the right crosses it an odd number of times."""
    inside = np.zeros(len(points), dtype=np.bool_)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    boxed = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    x, y = points[boxed, 0], points[boxed, 1]
    odd = np.zeros(len(boxed), dtype=np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 != y2:
            odd ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    inside[boxed] = odd
    return inside
