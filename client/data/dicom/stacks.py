"""Sorts slices into series and stacks: one image a place, in order through the body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from client.data.dicom.slices import Slice
from client.data.quarantine import QuarantineLog

SAME_PLACE_MM = 0.01
REPEATED = "second image at the same place"


def in_series(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Yield the slices of each series and orientation, sorted through the body."""
    groups: dict[tuple[object, ...], list[Slice]] = {}
    for found in slices:
        place = found.geometry
        plane = () if place is None else tuple(np.round([*place.across, *place.down], 1) + 0.0)
        groups.setdefault((found.series, plane), []).append(found)
    for key in sorted(groups, key=str):
        yield sorted(groups[key], key=_order)


def depth_of(found: Slice) -> float:
    """Return the place along the normal in mm; 0 where it is not known."""
    return found.geometry.depth_mm if found.geometry else 0.0


def separate(series: list[Slice], log: QuarantineLog) -> list[list[Slice]]:
    """Divide a series into stacks without two images of one place.

    Phases, echoes and b-values become stacks of their own, then acquisitions; of images that
    nothing else keeps apart (a file sent twice under two names) the first stays.
    """
    if any(found.geometry is None for found in series):
        return [series]
    stacks = [series]
    for key in (_phase, _acquisition):
        stacks = [part for stack in stacks for part in _divided(stack, key)]
    return [_once(stack, log) for stack in stacks]


def every_stack(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Yield the images of one series as stacks that have an order and a volume, each in this order; none is left out.

    A stack has images of one size and one plane, and one image a place: phases and repeated images are stacks of their
    own.
    """
    sizes: dict[tuple[int, int], list[Slice]] = {}
    for found in slices:
        sizes.setdefault(found.shape, []).append(found)
    for same in sizes.values():
        for left in in_series(same):
            while left:
                stacks = separate(left, QuarantineLog())  # what it leaves out comes next
                yield from stacks
                done = {(each.file.name, each.frame) for stack in stacks for each in stack}
                left = [each for each in left if (each.file.name, each.frame) not in done]


def _order(found: Slice) -> tuple[float, int, str, int]:
    return round(depth_of(found), 3), found.instance, found.file.name, found.frame


def _phase(found: Slice) -> str:
    return found.stack.rpartition("|")[0]


def _acquisition(found: Slice) -> str:
    return found.stack.rpartition("|")[2]


def _place(found: Slice) -> int:
    return round(depth_of(found) / SAME_PLACE_MM)


def _divided(stack: list[Slice], key: Callable[[Slice], str]) -> list[list[Slice]]:
    """Divide by a key, if that is what keeps the images of one place apart."""
    places = Counter(_place(found) for found in stack)
    if len(places) == len(stack):
        return [stack]
    groups: dict[str, list[Slice]] = {}
    for found in stack:
        groups.setdefault(key(found), []).append(found)
    whole = min(len(group) for group in groups.values()) * 2 >= len(places)
    return [groups[name] for name in sorted(groups)] if whole else [stack]


def _once(stack: list[Slice], log: QuarantineLog) -> list[Slice]:
    """Keep the first image of every place."""
    kept: dict[int, Slice] = {}
    for found in stack:
        if kept.setdefault(_place(found), found) is not found:
            log.add(found.file.name, REPEATED)
    return list(kept.values())
