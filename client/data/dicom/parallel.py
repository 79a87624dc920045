"""Reads the chosen samples on all cores, in processes that may crash or hang at a damaged file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.build import Builder
from client.data.dicom.cut import Cut
from client.data.dicom.draw import Drawer
from client.data.dicom.quiet import quiet
from client.data.dicom.unusable import Unusable
from client.data.files import Reader
from client.data.quarantine import QuarantineLog
from client.data.workers.pool import outcomes
from client.data.workers.wire import Answer, Outcome, Refused
from common.data_spec import ImageSpec

TOGETHER = 8
MOST_BYTES = 1 << 25
"""Samples of one job: few enough that all cores have work and an answer stays small."""
Problem = tuple[int, str, str]
Job = tuple["Recipe", Sequence[Cut]]


@dataclass(frozen=True)
class Recipe:
    """What samples are made of.

    Attributes:
        spec: the study's data.
        structures: what the site calls the structures of the masks, in order; empty where no masks are wanted.
    """

    spec: ImageSpec
    structures: tuple[str, ...] = ()

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """Shape of a sample's mask."""
        depth = () if self.spec.depth is None else (self.spec.depth,)
        return (*depth, *self.spec.image_size)


@dataclass(frozen=True)
class Made:
    """Samples in the order in which they were chosen.

    Attributes:
        inputs: [n, ...] those that could be read.
        masks: [n, ...] theirs; none where no masks are wanted.
        kept: [n] their numbers among those chosen.
    """

    inputs: NDArray[np.float32]
    masks: NDArray[np.uint8] | None
    kept: NDArray[np.int64]


def read_samples(chosen: Iterable[Cut], recipe: Recipe, log: QuarantineLog) -> Made:
    """Read samples; a file that cannot be read is noted once for each reason.

    Args:
        chosen: taken as they are needed, never all at once.
        recipe: what is made of them.
        log: what is left out, and why.
    """
    made = _Making(recipe)
    step = max(1, min(TOGETHER, MOST_BYTES // (4 * math.prod(recipe.spec.input_shape))))
    again: list[tuple[int, Cut]] = []
    for start, cuts, outcome in _built(_grouped(chosen, step), recipe):
        if isinstance(outcome, Refused) and len(cuts) > 1:  # one of them is to blame: find it
            again += enumerate(cuts, start)
        else:
            made.place(outcome, start, cuts)
    alone = ((number, [cut]) for number, cut in sorted(again, key=lambda pair: pair[0]))
    for start, cuts, outcome in _built(alone, recipe):
        made.place(outcome, start, cuts)
    return made.result(log)


def _grouped(chosen: Iterable[Cut], step: int) -> Iterator[tuple[int, list[Cut]]]:
    """Yield a few samples at a time, with the number of the first."""
    start, cuts = 0, iter(chosen)
    while together := list(islice(cuts, step)):
        yield start, together
        start += len(together)


def _built(
    groups: Iterable[tuple[int, list[Cut]]], recipe: Recipe
) -> Iterator[tuple[int, list[Cut], Outcome]]:
    """Build groups of samples; only those on their way are held."""
    sent: dict[int, tuple[int, list[Cut]]] = {}

    def jobs() -> Iterator[Job]:
        for number, (start, cuts) in enumerate(groups):
            sent[number] = (start, cuts)
            yield recipe, cuts

    for number, outcome in outcomes(build, jobs()):
        yield *sent.pop(number), outcome


class _Making:
    """The samples so far, in arrays that grow in place: nobody knows yet how many there will be."""

    def __init__(self, recipe: Recipe) -> None:
        self._arrays: list[NDArray[Any]] = [np.empty((0, *recipe.spec.input_shape), np.float32)]
        if recipe.structures:
            self._arrays.append(np.empty((0, *recipe.mask_shape), np.uint8))
        self._good = np.zeros(0, dtype=np.bool_)
        self._problems: list[Problem] = []

    def place(self, outcome: Outcome, start: int, cuts: Sequence[Cut]) -> None:
        """Put what a job made into its places, and keep what could not be read."""
        if isinstance(outcome, Refused):
            self._problems.append((start, cuts[0].name, outcome.reason))
            return
        kept, problems = outcome.value
        self._problems += [(start, name, reason) for name, reason in problems]
        if kept:
            numbers = [start + number for number in kept]
            self._reserve(numbers[-1] + 1)
            self._good[numbers] = True
            for mine, made in zip(self._arrays, outcome.arrays, strict=True):
                mine[numbers] = made

    def _reserve(self, count: int) -> None:
        """Make room for so many samples, and for some more."""
        if count > len(self._good):
            room = count + count // 8 + TOGETHER
            for array in (self._good, *self._arrays):
                array.resize((room, *array.shape[1:]), refcheck=False)

    def result(self, log: QuarantineLog) -> Made:
        """Return the samples without gaps; note the problems."""
        named = dict.fromkeys((name, reason) for _, name, reason in sorted(self._problems))
        for name, reason in named:
            log.add(name, reason)
        kept = np.flatnonzero(self._good)
        for array in self._arrays:
            for place, number in enumerate(kept.tolist()):
                if place != number:
                    array[place] = array[number]
        inputs, *masks = (array[: len(kept)] for array in self._arrays)
        return Made(inputs, masks[0] if masks else None, kept)


@cache
def _reader() -> Reader:
    """A worker's own, which keeps the last archive open."""
    return Reader()


@lru_cache(maxsize=1)
def _drawer(recipe: Recipe) -> Drawer:
    """A worker's own, which keeps the last masks."""
    return Drawer(recipe.spec, recipe.structures, _reader())


def build(job: Job) -> Answer:
    """Make a few samples, in a worker: the numbers of those that could be, the problems, the samples, the masks."""
    recipe, chosen = job
    log = QuarantineLog()
    with quiet():
        builder = Builder(recipe.spec, _reader(), log)
        found = [_made(builder, recipe, cut, log) for cut in chosen]
    kept = [number for number, made in enumerate(found) if made is not None]
    whole = [made for made in found if made is not None]
    arrays = [np.stack(arrays) for arrays in zip(*whole, strict=True)]
    return Answer([kept, log.result().details], arrays)


def _made(
    builder: Builder, recipe: Recipe, cut: Cut, log: QuarantineLog
) -> list[NDArray[Any]] | None:
    """Make a sample, with its mask where that is wanted; none if it cannot be."""
    sample = builder.sample(cut)
    if sample is None or not recipe.structures:
        return None if sample is None else [sample]
    try:
        return [sample, _drawer(recipe).draw(cut)]
    except Unusable as reason:
        log.add(cut.masks[0].name, str(reason))
    except OSError:
        log.add(cut.masks[0].name, "cannot be read")
    return None
