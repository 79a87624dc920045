"""Chooses which slices of a patient become samples, and where each is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from client.data.dicom.resample import pixel_of
from client.data.dicom.slices import Slice, Vector
from client.data.quarantine import QuarantineLog
from common.data_spec import ImageSpec

NEAR_MM = 5.0


@dataclass(frozen=True)
class Cut:
    """One sample to be: a slice, and the pixel (row, column) that becomes the patch's middle."""

    slice: Slice
    centre: Vector


def cuts(
    slices: Sequence[Slice], points: Sequence[Vector], spec: ImageSpec, log: QuarantineLog
) -> list[Cut]:
    """Return a patient's samples, series by series, in the order of the slices."""
    usable = [found for found in slices if _has_geometry(found, spec, log)]
    chosen: list[Cut] = []
    for series in _series(usable):
        if spec.centre == "image":
            near = _nearest(series, None, spec)
            chosen += [Cut(found, (np.array(found.shape) - 1) / 2.0) for found in near]
        else:
            for point in points:
                chosen += _round_point(series, point, spec)
    if spec.centre == "point" and usable and points and not chosen:
        log.add(usable[0].file.name, "point outside the images")
    return chosen


def _has_geometry(found: Slice, spec: ImageSpec, log: QuarantineLog) -> bool:
    """Check that a slice says what the study needs."""
    if spec.spacing_mm is not None and found.spacing_mm is None:
        log.add(found.file.name, "geometry missing: pixel spacing")
        return False
    if spec.centre == "point" and (found.geometry is None or found.spacing_mm is None):
        log.add(found.file.name, "geometry missing: position or orientation")
        return False
    return True


def _series(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Yield the slices of each series and orientation, sorted through the body."""
    groups: dict[tuple[object, ...], list[Slice]] = {}
    for found in slices:
        place = found.geometry
        plane = () if place is None else tuple(np.round([*place.across, *place.down], 1) + 0.0)
        groups.setdefault((found.series, plane), []).append(found)
    for key in sorted(groups, key=str):
        yield sorted(groups[key], key=_order)


def _order(found: Slice) -> tuple[float, int, str, int]:
    depth = 0.0 if found.geometry is None else round(found.geometry.depth_mm, 3)
    return depth, found.instance, found.file.name, found.frame


def _nearest(series: list[Slice], depth_mm: float | None, spec: ImageSpec) -> list[Slice]:
    """Return the study's number of slices nearest to a depth, or to the middle of the series."""
    if spec.slices == "all" or spec.slices >= len(series):
        return series
    if depth_mm is None:
        start = (len(series) - spec.slices) // 2
        return series[start : start + spec.slices]
    away = [abs(_depth(found) - depth_mm) for found in series]
    nearest = sorted(range(len(series)), key=lambda index: (away[index], index))
    return [series[index] for index in sorted(nearest[: spec.slices])]


def _depth(found: Slice) -> float:
    return found.geometry.depth_mm if found.geometry else 0.0


def _round_point(series: list[Slice], point: Vector, spec: ImageSpec) -> list[Cut]:
    """Return the cuts round a point, none if the point lies outside the series."""
    plane = series[0].geometry
    if plane is None:
        return []
    depth = float(point @ plane.normal)
    depths = np.array([_depth(found) for found in series])
    gaps = np.diff(np.unique(depths))
    near_mm = max(NEAR_MM, 1.5 * float(np.median(gaps))) if len(gaps) else 2 * NEAR_MM
    if float(np.abs(depths - depth).min()) > near_mm:
        return []
    found_cuts = []
    for found in _nearest(series, depth, spec):
        if found.geometry is not None and found.spacing_mm is not None:
            centre = pixel_of(point, found.geometry, found.spacing_mm)
            if (centre > -0.5).all() and (centre < np.array(found.shape) - 0.5).all():
                found_cuts.append(Cut(found, centre))
    return found_cuts
