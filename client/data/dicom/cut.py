"""One sample to be: which slices it is made of, and where each is cut."""

from __future__ import annotations

from dataclasses import dataclass, field

from client.data.dicom.orientation import AS_STORED, Turn
from client.data.dicom.slices import Slice, Vector
from client.data.files import File


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


@dataclass(frozen=True)
class Layer:
    """One plane of a sample.

    Attributes:
        parts: the slices that make it; what their weights lack to 1 is emptiness.
        depth_mm: its place along the slices' normal, where that is not a slice's own.
    """

    parts: tuple[Part, ...] = ()
    depth_mm: float | None = None


@dataclass(frozen=True)
class Cut:
    """A sample.

    Attributes:
        layers: its planes: one for a slice, several for a stack or a volume.
        turn: what brings it into the usual view.
        masks: the files of the segmentations that belong to it, where the study wants masks.
    """

    layers: tuple[Layer, ...]
    turn: Turn = AS_STORED
    masks: tuple[File, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The name of the first file, which may identify."""
        return self.first.file.name

    @property
    def first(self) -> Slice:
        """The first slice that it is made of."""
        return next(part.slice for layer in self.layers for part in layer.parts)
