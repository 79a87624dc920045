"""Makes the layers of stacks (a slice between its neighbours) and of volumes.

Every slice is cut where a line through the middle, at right angles to the slices, meets it. So a
tilted gantry, whose slices slide sideways from one to the next, gives upright volumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from client.data.dicom.cut import Layer, Part
from client.data.dicom.place import middle_of, pixel_at
from client.data.dicom.slices import Slice, Vector
from client.data.dicom.stacks import depth_of
from client.data.dicom.through import is_broken, weights
from common.data_spec import ImageSpec

Layers = tuple[Layer, ...]


@dataclass(frozen=True)
class Stack:
    """Slices in the order of the layers.

    Attributes:
        slices: one a place.
        sign: -1 where the order is against the normal of the slices.
    """

    slices: list[Slice]
    sign: int

    def depths(self) -> list[float]:
        """Places along the order (mm), ascending; all 0 where they are not known."""
        return [self.sign * depth_of(found) for found in self.slices]

    def depth(self, point: Vector) -> float:
        """Place of a point along the order (mm)."""
        plane = self.slices[0].geometry
        return self.sign * float(point @ plane.normal) if plane else 0.0


def neighbours(stack: Stack, index: int, middle: Vector | None, spec: ImageSpec) -> Layers | None:
    """Return a slice between its neighbours; none where slices are missing.

    Args:
        stack: the slices.
        index: of the slice in the middle.
        middle: point of the body in the middle; none: every image's own middle.
        spec: the study's data.
    """
    offsets = np.arange(spec.planes) - spec.planes // 2
    depths = stack.depths()
    if spec.slice_spacing_mm is not None:
        wanted = [depths[index] + float(offset) * spec.slice_spacing_mm for offset in offsets]
        wanted = np.clip(wanted, depths[0], depths[-1]).tolist()  # the last slice repeats
        return _at(stack, wanted, middle, spec)
    chosen = np.clip(index + offsets, 0, len(depths) - 1).tolist()
    if is_broken(depths, depths[chosen[0]], depths[chosen[-1]], spec.max_gap_mm):
        return None
    return tuple(Layer((_part(stack.slices[number], middle),)) for number in chosen)


def volume(stack: Stack, point: Vector | None, spec: ImageSpec) -> Layers | None:
    """Return the layers of a volume round a point or the stack's middle; none where slices are missing.

    Beyond the stack, layers are empty.
    """
    depth, depths = spec.depth or 1, stack.depths()
    middle = _middle(stack) if point is None else point
    if spec.slice_spacing_mm is not None and middle is not None:
        offsets = (np.arange(depth) - (depth - 1) / 2.0) * spec.slice_spacing_mm
        return _at(stack, (stack.depth(middle) + offsets).tolist(), middle, spec)
    place = (len(depths) - 1) / 2.0
    if point is not None:
        place = float(np.interp(stack.depth(point), depths, range(len(depths))))
    start = int(np.floor(place - (depth - 1) / 2.0 + 0.5))
    chosen = [
        number if 0 <= number < len(depths) else None for number in range(start, start + depth)
    ]
    used = [number for number in chosen if number is not None]
    if used and is_broken(depths, depths[used[0]], depths[used[-1]], spec.max_gap_mm):
        return None
    return tuple(Layer() if n is None else Layer((_part(stack.slices[n], middle),)) for n in chosen)


def _middle(stack: Stack) -> Vector | None:
    """Return the point in the middle of a stack; none where the files do not say."""
    low = middle_of(stack.slices[(len(stack.slices) - 1) // 2])
    high = middle_of(stack.slices[len(stack.slices) // 2])
    return None if low is None or high is None else (low + high) / 2.0


def _at(stack: Stack, wanted: list[float], middle: Vector | None, spec: ImageSpec) -> Layers | None:
    depths, step = stack.depths(), spec.slice_spacing_mm or 1.0
    if is_broken(depths, wanted[0], wanted[-1], spec.max_gap_mm):
        return None
    return tuple(
        Layer(
            tuple(
                _part(stack.slices[n], middle, share) for n, share in weights(depths, place, step)
            ),
            stack.sign * place,
        )
        for place in wanted
    )


def _part(found: Slice, middle: Vector | None, weight: float = 1.0) -> Part:
    return Part(found, pixel_at(found, middle), weight)
