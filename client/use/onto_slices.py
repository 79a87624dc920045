"""Brings a network's maps back from samples to the slices that they were cut from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.cut import Cut, Part
from client.data.dicom.draw import grid
from client.data.dicom.orientation import Turn
from client.data.dicom.slices import Slice
from common.data_spec import ImageSpec

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Share:
    """What one sample says of one slice.

    Attributes:
        maps: [structures + 1, rows, columns] chances in the sample's plane, as stored (not turned).
        part: where in the slice the middle of the plane lies, and how much the slice counts in it.
    """

    maps: Maps
    part: Part


def shares(cut: Cut, maps: Maps, spec: ImageSpec) -> list[tuple[Slice, Share]]:
    """Return what a sample says of the slices that its planes are made of.

    Args:
        cut: where the sample comes from.
        maps: [structures + 1, rows, columns], or [structures + 1, depth, rows, columns] of a volume.
        spec: the study's data.
    """
    if spec.depth is None:  # of a stack, the middle slice is the one that is drawn
        layers, planes = [cut.layers[len(cut.layers) // 2]], [maps]
    else:
        layers, planes = list(cut.layers), list(maps.swapaxes(0, 1))
    return [
        (part.slice, Share(_as_stored(plane, cut.turn), part))
        for layer, plane in zip(layers, planes, strict=True)
        for part in layer.parts
    ]


def mask_of(found: Slice, told: Sequence[Share], spec: ImageSpec) -> NDArray[np.uint8]:
    """Return the structure with the highest chance in every pixel of a slice, [rows, columns]; 0 where nothing is said.

    A slice that several planes were made of is drawn from all of them, each as much as it took.
    """
    first = told[0].maps
    total = np.zeros((len(first), *found.shape), np.float32)
    for share in told:
        size = (first.shape[1], first.shape[2])
        (row, column), (down, across) = grid(share.part, size, spec)
        rows = _spread(found.shape[0], float(row), down, size[0])
        columns = _spread(found.shape[1], float(column), across, size[1])
        total += np.float32(share.part.weight) * (rows @ share.maps @ columns.T)
    return np.asarray(total.argmax(0), np.uint8)


def _as_stored(maps: Maps, turn: Turn) -> Maps:
    """Undo a turn of [..., rows, columns]."""
    back = maps[..., ::-1] if turn.flip_columns else maps
    back = back[..., ::-1, :] if turn.flip_rows else back
    return back.swapaxes(-1, -2) if turn.transpose else back


def _spread(length: int, centre: float, step: float, size: int) -> Maps:
    """Return the weights [length, size] that read a plane's line at the pixels of a slice, by straight lines.

    Half a pixel beyond the plane its last value stands; further out there is nothing.
    """
    place = (np.arange(length) - centre) / step + (size - 1) / 2.0
    inside = (place >= -0.5) & (place <= size - 0.5)
    near = np.clip(place, 0, size - 1)
    weights = np.maximum(0.0, 1.0 - np.abs(near[:, None] - np.arange(size)[None, :]))
    return np.asarray(weights * inside[:, None], np.float32)
