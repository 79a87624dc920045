"""One sample to be: which slices it is made of, and where each is cut."""

from __future__ import annotations

from dataclasses import dataclass

from client.data.dicom.orientation import AS_STORED, Turn
from client.data.dicom.slices import Slice, Vector


@dataclass(frozen=True)
class Part:
    """A slice's share of a layer.

    Attributes:
        slice: the slice.
        centre: the pixel (row, column), as real numbers, that becomes the middle of the patch.
        weight: of the slice in the layer.
    """

    slice: Slice
    centre: Vector
    weight: float = 1.0


Layer = tuple[Part, ...]
"""The slices that make one plane of a sample; what their weights lack to 1 is emptiness."""


@dataclass(frozen=True)
class Cut:
    """A sample.

    Attributes:
        layers: its planes: one for a slice, several for a stack or a volume.
        turn: what brings it into the usual view.
    """

    layers: tuple[Layer, ...]
    turn: Turn = AS_STORED

    @property
    def name(self) -> str:
        """The name of the first file, which may identify."""
        return next(part.slice.file.name for layer in self.layers for part in layer)
