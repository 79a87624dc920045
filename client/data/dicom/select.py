"""Chooses which slices of a patient become samples, and where each is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from client.data.dicom.cut import Cut, Layer, Part
from client.data.dicom.orientation import AS_STORED, Turn, turn_of
from client.data.dicom.place import away_mm, inside, is_near, middle_of, middle_pixel
from client.data.dicom.slices import Slice, Vector
from client.data.dicom.stacks import in_series, separate
from client.data.dicom.suitable import lack_of
from client.data.dicom.volume import Stack, neighbours, volume
from client.data.quarantine import QuarantineLog
from common.data_spec import ImageSpec

BROKEN = "slices are missing or too far apart"


def cuts(
    slices: Sequence[Slice], points: Sequence[Vector], spec: ImageSpec, log: QuarantineLog
) -> list[Cut]:
    """Return a patient's samples, series by series, in the order of the slices."""
    usable = [found for found in slices if _suits(found, spec, log)]
    chosen: list[Cut] = []
    for series in in_series(usable):
        flat = spec.depth is None and spec.planes == 1
        for stack in [series] if flat else separate(series, log):
            chosen += _of_stack(stack, points, spec, log)
    if spec.centre != "image" and usable and points and not chosen:
        log.add(usable[0].file.name, "point outside the images")
    return chosen


def _suits(found: Slice, spec: ImageSpec, log: QuarantineLog) -> bool:
    """Check that a slice has what the study needs."""
    reason = lack_of(found, spec)
    if reason:
        log.add(found.file.name, reason)
    return not reason


def _of_stack(
    slices: list[Slice], points: Sequence[Vector], spec: ImageSpec, log: QuarantineLog
) -> list[Cut]:
    """Return the samples of one stack: round its middle, or round each of the points in it."""
    place = slices[0].geometry
    turn = AS_STORED if spec.plane == "any" or place is None else turn_of(place, spec.plane)
    stack = Stack(slices[::-1], -1) if turn.reverse else Stack(slices, 1)
    if spec.centre == "image":
        return _round(stack, None, turn, spec, log)
    near = [point for point in points if is_near(slices, point)]
    return [cut for point in near for cut in _round(stack, point, turn, spec, log)]


def _round(
    stack: Stack, point: Vector | None, turn: Turn, spec: ImageSpec, log: QuarantineLog
) -> list[Cut]:
    """Return the samples round a point (none: round the middle); none if it lies outside."""
    if spec.depth is not None:
        return _volume(stack, point, turn, spec, log)
    found = []
    for index in _nearest(stack.slices, point, spec):
        own = stack.slices[index]
        pixel = middle_pixel(own) if point is None else inside(own, point)
        if pixel is None:
            continue
        if spec.planes == 1:
            found.append(Cut((Layer((Part(own, pixel),)),), turn))
            continue
        layers = neighbours(stack, index, middle_of(own) if point is None else point, spec)
        if layers is None:
            log.add(own.file.name, BROKEN)
        else:
            found.append(Cut(layers, turn))
    return found


def _volume(
    stack: Stack, point: Vector | None, turn: Turn, spec: ImageSpec, log: QuarantineLog
) -> list[Cut]:
    if point is not None:
        away = away_mm(stack.slices, point)
        if inside(stack.slices[int(np.argmin(away))], point) is None:
            return []
    layers = volume(stack, point, spec)
    if layers is None:
        log.add(stack.slices[0].file.name, BROKEN)
        return []
    return [Cut(layers, turn)]


def _nearest(stack: list[Slice], point: Vector | None, spec: ImageSpec) -> list[int]:
    """Return the study's number of slices nearest to a point, or to the middle of the stack."""
    if spec.slices == "all" or spec.slices >= len(stack):
        return list(range(len(stack)))
    if point is None:
        start = (len(stack) - spec.slices) // 2
        return list(range(start, start + spec.slices))
    order = np.argsort(away_mm(stack, point), kind="stable")
    return sorted(order[: spec.slices].tolist())
