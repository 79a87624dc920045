"""Turns images of one plane of the body alike, however the patient lay and the scanner stored them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.slices import Geometry

Number = TypeVar("Number", bound=np.generic)

# DICOM patient coordinates: x grows to the left, y to the back, z to the head.
_PLANES = ("sagittal", "coronal", "axial")  # by the axis that the normal follows
_ACROSS = {"axial": (0, 1), "coronal": (0, 1), "sagittal": (1, 1)}
_DOWN = {"axial": (1, 1), "coronal": (2, -1), "sagittal": (2, -1)}


@dataclass(frozen=True)
class Turn:
    """What must be done with an image.

    Attributes:
        transpose: swap rows and columns first.
        flip_rows, flip_columns: then turn these round.
        reverse: the order of the slices is the other way round.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    reverse: bool = False

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size before the turn of what has a size after it."""
        return (size[1], size[0]) if self.transpose else size

    def of(self, image: NDArray[Number]) -> NDArray[Number]:
        """Turn an image [..., rows, columns]."""
        turned = image.swapaxes(-1, -2) if self.transpose else image
        turned = turned[..., ::-1, :] if self.flip_rows else turned
        return turned[..., ::-1] if self.flip_columns else turned


AS_STORED = Turn()


def plane_of(geometry: Geometry) -> str:
    """Return the plane of the body that is nearest."""
    return _PLANES[int(np.abs(geometry.normal).argmax())]


def turn_of(geometry: Geometry, plane: str) -> Turn:
    """Return what brings an image of that plane into the usual view."""
    (right, sign_right), (low, sign_low) = _ACROSS[plane], _DOWN[plane]
    across, down = geometry.across, geometry.down
    transpose = bool(abs(across[right]) < abs(down[right]))
    if transpose:
        across, down = down, across
    through = geometry.normal[_PLANES.index(plane)]
    return Turn(
        transpose=transpose,
        flip_rows=bool(down[low] * sign_low < 0),
        flip_columns=bool(across[right] * sign_right < 0),
        reverse=bool(through < 0),
    )
