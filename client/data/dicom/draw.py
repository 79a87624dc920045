"""Draws masks on a sample's own grid: every pixel gets the structure in which its middle lies, nothing is mixed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.cut import Cut, Layer, Part
from client.data.dicom.slices import Vector
from client.data.dicom.unusable import Unusable
from client.data.files import File, Reader
from client.data.masks.reading import read
from client.data.masks.regions import Mask, Points
from common.data_spec import ImageSpec

KEPT = 4
"""Mask files that stay in memory, because the samples of a patient share them."""
Classes = NDArray[np.uint8]


def grid(part: Part, size: tuple[int, int], spec: ImageSpec) -> tuple[Vector, tuple[float, float]]:
    """Return which pixel (row, column) of a slice is the middle of a sample, and the step between samples' pixels.

    Args:
        part: the slice and the middle that was asked for.
        size: rows and columns of the sample, before it is turned.
        spec: without a spacing, whole pixels are taken: nothing is interpolated.
    """
    if spec.spacing_mm is not None and part.slice.spacing_mm is not None:
        rows, columns = part.slice.spacing_mm
        return part.centre, (spec.spacing_mm / rows, spec.spacing_mm / columns)
    half = (np.array(size) - 1) / 2.0
    return np.floor(part.centre - half + 0.5) + half, (1.0, 1.0)


class Drawer:
    """Draws the masks of samples.

    Args:
        spec: the study's data.
        names: what the site calls the study's structures, in the order of their numbers 1, 2, …
        reader: opens the files.
    """

    def __init__(self, spec: ImageSpec, names: Sequence[str], reader: Reader) -> None:
        self._spec = spec
        self._names = names
        self._reader = reader
        self._masks: OrderedDict[File, list[Mask]] = OrderedDict()

    def draw(self, cut: Cut) -> Classes:
        """Return the numbers of the structures, [rows, columns] or, of a volume, [depth, rows, columns].

        0 is none of them; where two overlap, the later number stands. A stack gets its middle slice's.

        Raises:
            Unusable: a mask cannot be read.
            OSError: the same, of the disk.
        """
        layers = cut.layers
        if self._spec.depth is None:
            layers = layers[len(layers) // 2 : len(layers) // 2 + 1]
        size = cut.turn.size(self._spec.image_size)
        masks = self._of(cut)
        drawn = np.zeros((len(layers), *size), dtype=np.uint8)
        for number, layer in enumerate(layers):
            if layer.parts:
                points = _points(layer, size, self._spec)
                for value, mask in masks:
                    drawn[number][mask.region.covers(points).reshape(size)] = value
        turned = cut.turn.of(drawn)
        return turned if self._spec.depth is not None else turned[0]

    def _of(self, cut: Cut) -> list[tuple[int, Mask]]:
        """Return the masks of a sample with their numbers, in the order of these."""
        frame = cut.first.frame_of_reference
        masks = [mask for file in cut.masks for mask in self._read(file) if mask.is_of(frame)]
        numbered = enumerate(self._names, start=1)
        return [(value, mask) for value, name in numbered for mask in masks if mask.shows(name)]

    def _read(self, file: File) -> list[Mask]:
        if file not in self._masks:
            self._masks[file] = read(file, self._reader)
            if len(self._masks) > KEPT:
                self._masks.popitem(last=False)
        self._masks.move_to_end(file)
        return self._masks[file]


def _points(layer: Layer, size: tuple[int, int], spec: ImageSpec) -> Points:
    """Return where the pixels of a layer lie in the body, [rows × columns, 3] (mm)."""
    part = max(layer.parts, key=lambda part: part.weight)
    place, spacing = part.slice.geometry, part.slice.spacing_mm
    if place is None or spacing is None:
        raise Unusable("geometry missing: position or orientation")
    (row, column), (down, across) = grid(part, size, spec)
    rows = (row + (np.arange(size[0]) - (size[0] - 1) / 2.0) * down) * spacing[0]
    columns = (column + (np.arange(size[1]) - (size[1] - 1) / 2.0) * across) * spacing[1]
    first = place.position
    if layer.depth_mm is not None:
        first = first + (layer.depth_mm - place.depth_mm) * place.normal
    points: Points = (
        first + rows[:, None, None] * place.down + columns[None, :, None] * place.across
    )
    return points.reshape(-1, 3)
