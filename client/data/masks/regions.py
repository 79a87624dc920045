"""A structure as a region of the body, whatever grid it was drawn on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.slices import Slice, Vector
from client.data.dicom.unusable import Unusable

ANY = "*"
"""The name in a mask that is empty and names nothing: it shows of every structure that it is not there."""

Points = NDArray[np.float64]
"""[n, 3] in DICOM patient coordinates (mm)."""


class Region(Protocol):
    """A part of the body."""

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Tell which points [n, 3] (mm) lie inside."""

    def middle(self) -> Vector | None:
        """Return the centre of mass [3] (mm); none of what lies nowhere."""


class Nowhere:
    """The region of a structure that was looked for and is not there."""

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Tell that no point lies inside."""
        return np.zeros(len(points), dtype=np.bool_)

    def middle(self) -> None:
        """Return nothing."""


NOWHERE = Nowhere()


@dataclass(frozen=True)
class Named:
    """One structure of one patient.

    Attributes:
        patients: the patient's identifier; for a NIfTI file, which names nobody, what its name and
            its folder's name say.
        name: of the structure, as in the file; for NIfTI the number in the voxels, or `ANY` where all are 0.
        frame_of_reference: UID of the coordinates that it is given in; "" where the file does not say.
    """

    patients: tuple[str, ...] = field(repr=False)
    name: str
    frame_of_reference: str = field(repr=False)

    def is_of(self, frame_of_reference: str) -> bool:
        """Tell whether it is given in the coordinates of images, as far as both say."""
        return not (self.frame_of_reference and frame_of_reference) or (
            self.frame_of_reference == frame_of_reference
        )

    def shows(self, name: str) -> bool:
        """Tell whether it is the structure of a name; case does not matter."""
        return self.name == ANY or self.name.strip().casefold() == name.strip().casefold()


@dataclass(frozen=True)
class Mask(Named):
    """A structure with the region where it is."""

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
