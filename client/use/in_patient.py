"""From pixels of a sample back to the patient: where finds lie, in the coordinates of the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from client.data.dicom.cut import Cut, Layer
from client.data.dicom.draw import grid
from client.data.dicom.slices import Vector
from client.use.answers import Columns
from common.data_spec import ImageSpec

AXES = ("slice", "row", "column")
POINT = ("x_mm", "y_mm", "z_mm")


def in_patient(told: Columns, cuts: Sequence[Cut], spec: ImageSpec) -> Columns:
    """Return a detector's answers with x, y and z (DICOM patient coordinates, mm) in the place of pixels.

    Args:
        told: columns `score_1`, `row_1`, `column_1`, … of every sample; `slice_1` of volumes.
        cuts: what the samples were cut from.
        spec: the study's data.
    """
    found: Columns = {}
    for name, column in told.items():
        axis, _, number = name.rpartition("_")
        if axis == "row":
            found |= _points(told, number, cuts, spec)
        if axis not in AXES:
            found[name] = column
    return found


def _points(told: Columns, number: str, cuts: Sequence[Cut], spec: ImageSpec) -> Columns:
    axes = AXES if spec.depth is not None else AXES[1:]
    places = zip(*(told[f"{axis}_{number}"] for axis in axes), strict=True)
    points = [
        None if place[0] is None else point_of(cut, place, spec)
        for cut, place in zip(cuts, places, strict=True)
    ]
    return {
        f"{name}_{number}": [None if p is None else round(float(p[axis]), 2) for p in points]
        for axis, name in enumerate(POINT)
    }


def point_of(cut: Cut, place: Sequence[float], spec: ImageSpec) -> Vector | None:
    """Return the point of the body under a pixel; none where the files do not say.

    Args:
        cut: the sample.
        place: row and column, of volumes slice, row and column, as real numbers.
        spec: the study's data.
    """
    pixel = np.array(place[-2:], dtype=np.float64)
    if spec.depth is None:
        return _in_layer(cut, cut.layers[len(cut.layers) // 2], pixel, spec)
    last = len(cut.layers) - 1
    low = int(np.clip(np.floor(place[0]), 0, max(0, last - 1)))
    ends = [_in_layer(cut, cut.layers[n], pixel, spec) for n in (low, min(low + 1, last))]
    if ends[0] is None or ends[1] is None:
        return ends[0] if ends[1] is None else ends[1]
    point: Vector = ends[0] + (place[0] - low) * (ends[1] - ends[0])
    return point


def _in_layer(cut: Cut, layer: Layer, pixel: Vector, spec: ImageSpec) -> Vector | None:
    if not layer.parts:
        return None
    part = max(layer.parts, key=lambda part: part.weight)
    place, spacing = part.slice.geometry, part.slice.spacing_mm
    if place is None or spacing is None:
        return None
    row, column = pixel
    row = spec.image_size[0] - 1 - row if cut.turn.flip_rows else row
    column = spec.image_size[1] - 1 - column if cut.turn.flip_columns else column
    if cut.turn.transpose:
        row, column = column, row
    size = np.array(cut.turn.size(spec.image_size))
    centre, step = grid(part, (int(size[0]), int(size[1])), spec)
    down, across = (centre + (np.array([row, column]) - (size - 1) / 2.0) * step) * spacing
    point: Vector = place.position + down * place.down + across * place.across
    if layer.depth_mm is not None:
        point = point + (layer.depth_mm - place.depth_mm) * place.normal
    return point
