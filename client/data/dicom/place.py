"""From points of the body to pixels of a slice, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from client.data.dicom.resample import pixel_of
from client.data.dicom.slices import Slice, Vector
from client.data.dicom.stacks import depth_of

NEAR_MM = 5.0
_DIGITS = 6  # of a pixel: hides the error of reckoning forth and back


def middle_pixel(found: Slice) -> Vector:
    """Return the (row, column) of an image's middle."""
    return (np.array(found.shape) - 1) / 2.0


def middle_of(found: Slice) -> Vector | None:
    """Return the point of the body in an image's middle; none where the file does not say."""
    if found.geometry is None or found.spacing_mm is None:
        return None
    down, across = middle_pixel(found) * found.spacing_mm
    place = found.geometry
    point: Vector = place.position + down * place.down + across * place.across
    return point


def pixel_at(found: Slice, point: Vector | None) -> Vector:
    """Return the (row, column) under a point, in front of the image or behind it.

    Without point or geometry that is the image's middle.
    """
    if point is None or found.geometry is None or found.spacing_mm is None:
        return middle_pixel(found)
    return pixel_of(point, found.geometry, found.spacing_mm).round(_DIGITS)


def inside(found: Slice, point: Vector) -> Vector | None:
    """Return the (row, column) under a point; none outside the image."""
    if found.geometry is None or found.spacing_mm is None:
        return None
    pixel = pixel_of(point, found.geometry, found.spacing_mm)
    within = (pixel > -0.5).all() and (pixel < np.array(found.shape) - 0.5).all()
    return pixel if within else None


def away_mm(stack: Sequence[Slice], point: Vector) -> list[float]:
    """Return how far each slice's plane is from a point."""
    plane = stack[0].geometry
    depth = float(point @ plane.normal) if plane else 0.0
    return [abs(depth_of(found) - depth) for found in stack]


def is_near(stack: Sequence[Slice], point: Vector) -> bool:
    """Tell whether a point lies between the slices of a stack, or close to the outer ones."""
    if stack[0].geometry is None:
        return False
    gaps = np.diff(np.unique([depth_of(found) for found in stack]))
    near_mm = max(NEAR_MM, 1.5 * float(np.median(gaps))) if len(gaps) else 2 * NEAR_MM
    return min(away_mm(stack, point)) <= near_mm
