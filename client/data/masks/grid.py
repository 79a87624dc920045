"""A region as voxels: parallel planes of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.slices import Geometry, Vector
from client.data.dicom.unusable import Unusable
from client.data.masks.regions import Points

_SLACK = 1.001
_PARALLEL = 1e-3


@dataclass(frozen=True)
class Plane:
    """One plane of voxels.

    Attributes:
        geometry: where it lies.
        packed: its pixels, eight a byte (numpy.packbits of the flat image).
    """

    geometry: Geometry
    packed: NDArray[np.uint8]


class GridRegion:
    """Parallel planes with pixels of one size; a point belongs to the voxel that it is nearest to."""

    def __init__(
        self,
        planes: Sequence[Plane],
        shape: tuple[int, int],
        spacing_mm: tuple[float, float],
        gap_mm: float | None,
    ) -> None:
        """Sort the planes.

        Args:
            planes: those that hold something; at least one.
            shape: rows, columns.
            spacing_mm: between rows, between columns.
            gap_mm: between planes; none: the usual distance between those given.

        Raises:
            Unusable: they are not parallel.
        """
        first = planes[0].geometry
        for plane in planes:
            away = [plane.geometry.across - first.across, plane.geometry.down - first.down]
            if np.abs(away).max() > _PARALLEL:
                raise Unusable("mask of planes that are not parallel")
        self._planes = sorted(planes, key=lambda plane: plane.geometry.depth_mm)
        self._depths = np.array([plane.geometry.depth_mm for plane in self._planes])
        self._shape, self._spacing, self._normal = shape, spacing_mm, first.normal
        gaps = np.diff(np.unique(self._depths.round(3)))
        self._gap = gap_mm or (float(np.median(gaps)) if len(gaps) else min(spacing_mm))

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Tell which points [n, 3] (mm) lie inside."""
        depths = points @ self._normal
        inside = np.zeros(len(points), dtype=np.bool_)
        for plane, depth in zip(self._planes, self._depths, strict=True):
            near = np.flatnonzero(np.abs(depths - depth) <= self._gap / 2 * _SLACK)
            if len(near):
                inside[near] |= self._on_plane(plane, points[near])
        return inside

    def _on_plane(self, plane: Plane, points: Points) -> NDArray[np.bool_]:
        away = points - plane.geometry.position
        rows = np.rint(away @ plane.geometry.down / self._spacing[0]).astype(np.int64)
        columns = np.rint(away @ plane.geometry.across / self._spacing[1]).astype(np.int64)
        height, width = self._shape
        valid = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        image = np.unpackbits(plane.packed, count=height * width).reshape(height, width)
        found = np.zeros(len(points), dtype=np.bool_)
        found[valid] = image[rows[valid], columns[valid]] != 0
        return found

    def middle(self) -> Vector:
        """Return the centre of mass [3] (mm)."""
        total, summed = 0, np.zeros(3)
        for plane in self._planes:
            image = np.unpackbits(plane.packed, count=self._shape[0] * self._shape[1])
            rows, columns = np.nonzero(image.reshape(self._shape))
            down = rows.sum() * self._spacing[0] * plane.geometry.down
            across = columns.sum() * self._spacing[1] * plane.geometry.across
            summed += len(rows) * plane.geometry.position + down + across
            total += len(rows)
        return summed / total
