"""A structure as a region of the body, whatever grid it was drawn on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.slices import Slice, Vector
from client.data.dicom.unusable import Unusable

Points = NDArray[np.float64]
"""[n, 3] in DICOM patient coordinates (mm)."""


class Region(Protocol):
    """A part of the body."""

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Tell which points [n, 3] (mm) lie inside."""

    def middle(self) -> Vector:
        """Return the centre of mass [3] (mm)."""


@dataclass(frozen=True)
class Mask:
    """One structure of one patient.

    Attributes:
        patients: the patient's identifier; for a NIfTI file, which names nobody, what its name and
            its folder's name say.
        name: of the structure, as in the file; for NIfTI the number in the voxels.
        region: where it is.
    """

    patients: tuple[str, ...] = field(repr=False)
    name: str
    region: Region


def on_slice(region: Region, found: Slice) -> NDArray[np.bool_]:
    """Draw a region on the grid of a slice, [rows, columns].

    Raises:
        Unusable: the slice does not say where it lies.
    """
    if found.geometry is None or found.spacing_mm is None:
        raise Unusable("geometry missing: position or orientation")
    rows, columns = found.shape
    down = np.arange(rows)[:, None, None] * found.spacing_mm[0] * found.geometry.down
    across = np.arange(columns)[None, :, None] * found.spacing_mm[1] * found.geometry.across
    points = (found.geometry.position + down + across).reshape(-1, 3)
    return region.covers(points).reshape(rows, columns)
