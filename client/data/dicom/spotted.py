"""Places findings in samples: which pixel of a slice or volume they lie in, and how large they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.cut import Cut, Layer, Part
from client.data.dicom.draw import grid
from client.data.dicom.resample import pixel_of
from client.data.dicom.slices import Vector
from client.data.dicom.spots import Spots
from client.data.points import Rows, rows_of
from common.data_spec import ImageSpec

Pixels = NDArray[np.float64]


class Spotter:
    """Notes the points of every sample that passes.

    Args:
        spec: the study's data.
        spots: findings by patient.

    Attributes:
        crowded: samples with more points than the study has rows for.
    """

    def __init__(self, spec: ImageSpec, spots: Spots) -> None:
        self._spec = spec
        self._spots = spots
        self._rows: list[Rows] = []
        self.crowded = 0

    def noted(self, cuts: Iterable[Cut]) -> Iterator[Cut]:
        """Yield the samples as they come."""
        for cut in cuts:
            self._rows.append(self._of(cut))
            yield cut

    def targets(self, numbers: NDArray[np.int64]) -> Rows:
        """Return the points [n, P, d + 1] of samples, by their numbers among those that passed."""
        return np.stack([self._rows[number] for number in numbers.tolist()])

    def _of(self, cut: Cut) -> Rows:
        spec, spots = self._spec, self._spots[cut.first.patient]
        found = [placed(cut, spot[:3], float(spot[3]), spec) for spot in spots]
        inside = [point for point in found if point is not None]
        self.crowded += len(inside) > spec.point_rows
        shape = spec.image_size if spec.depth is None else (spec.depth, *spec.image_size)
        points = np.array(inside, dtype=np.float64).reshape(-1, len(shape) + 1)
        return rows_of(points, shape, spec.point_rows)


def placed(cut: Cut, point: Vector, diameter: float, spec: ImageSpec) -> Pixels | None:
    """Return a finding's place in a sample: pixel along each axis, and diameter in pixels of the last; none outside.

    A slice shows a ball as the circle in which it cuts it; a stack shows its middle slice's. A volume shows a ball
    whose middle lies in it.

    Args:
        cut: the sample.
        point: x, y, z in mm.
        diameter: mm.
        spec: the study's data.
    """
    layers = cut.layers
    if spec.depth is None:
        layers = layers[len(layers) // 2 : len(layers) // 2 + 1]
    through = _through(layers, point, diameter)
    if through is None:
        return None
    near = min(
        (layer for layer in layers if layer.parts),
        key=lambda layer: abs(_depth(layer) - _depth_of(point, layer)),
    )
    found = _in_plane(cut, _main(near), point, spec)
    if found is None:
        return None
    pixel, across = found
    sides = np.array(spec.image_size)
    if not ((pixel > -0.5) & (pixel < sides - 0.5)).all():
        return None
    if spec.depth is not None:
        return np.array([through, *pixel, diameter / across])
    away = abs(_depth(near) - _depth_of(point, near))
    square = diameter**2 - 4 * away**2
    return np.array([*pixel, np.sqrt(square) / across]) if square > 0 else None


def _main(layer: Layer) -> Part:
    return max(layer.parts, key=lambda part: part.weight)


def _depth(layer: Layer) -> float:
    """Return a layer's place along the normal of its slices (mm)."""
    place = _main(layer).slice.geometry
    if layer.depth_mm is not None or place is None:
        return layer.depth_mm or 0.0
    return place.depth_mm


def _depth_of(point: Vector, layer: Layer) -> float:
    place = _main(layer).slice.geometry
    return float(point @ place.normal) if place is not None else 0.0


def _through(layers: Sequence[Layer], point: Vector, diameter: float) -> float | None:
    """Return the number of the layer, as a real number, in which a point lies; none outside all.

    In a single layer, a ball lies that it cuts.
    """
    shown = [(number, layer) for number, layer in enumerate(layers) if layer.parts]
    depths = np.array([_depth(layer) for _, layer in shown])
    depth = _depth_of(point, shown[0][1])
    reach = diameter / 2
    if len(shown) > 1:
        reach = abs(float(depths[-1] - depths[0])) / (len(shown) - 1) / 2
    beyond = max(float(depths.min()) - depth, depth - float(depths.max()))
    if beyond >= reach:
        return None
    order = np.argsort(depths)
    numbers = np.array([number for number, _ in shown], dtype=np.float64)
    return float(np.interp(depth, depths[order], numbers[order]))


def _in_plane(cut: Cut, part: Part, point: Vector, spec: ImageSpec) -> tuple[Pixels, float] | None:
    """Return the (row, column) of a sample under a point, and how wide its pixels are (mm); none without geometry."""
    place, spacing = part.slice.geometry, part.slice.spacing_mm
    if place is None or spacing is None:
        return None
    size = cut.turn.size(spec.image_size)
    centre, step = grid(part, size, spec)
    row, column = (pixel_of(point, place, spacing) - centre) / step + (np.array(size) - 1) / 2.0
    across = step[1] * spacing[1]
    if cut.turn.transpose:
        row, column, across = column, row, step[0] * spacing[0]
    rows, columns = spec.image_size
    row = rows - 1 - row if cut.turn.flip_rows else row
    column = columns - 1 - column if cut.turn.flip_columns else column
    return np.array([row, column]), across
