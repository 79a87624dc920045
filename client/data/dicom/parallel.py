"""Reads the chosen samples on all cores, in processes that may crash or hang at a damaged file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.build import Builder
from client.data.dicom.cut import Cut
from client.data.dicom.quiet import quiet
from client.data.files import Reader
from client.data.quarantine import QuarantineLog
from client.data.workers.pool import outcomes
from client.data.workers.wire import Answer, Outcome, Refused
from common.data_spec import ImageSpec

TOGETHER = 8
MOST_BYTES = 1 << 25
"""Samples of one job: few enough that all cores have work and an answer stays small."""
Problem = tuple[int, str, str]


def read_samples(
    chosen: Sequence[Cut], spec: ImageSpec, log: QuarantineLog
) -> tuple[NDArray[np.float32], list[int]]:
    """Read samples [n, ...] in the order in which they were chosen; return them with the numbers of the readable ones.

    A file that cannot be read is noted once for each reason.
    """
    samples = np.empty((len(chosen), *spec.input_shape), dtype=np.float32)
    good = np.zeros(len(chosen), dtype=np.bool_)
    problems: list[Problem] = []
    again: list[int] = []
    step = max(1, min(TOGETHER, MOST_BYTES // max(1, samples[:1].nbytes)))
    starts = range(0, len(chosen), step)
    for start, outcome in _built(chosen, spec, starts, step):
        if isinstance(outcome, Refused) and step > 1:
            again += range(
                start, min(start + step, len(chosen))
            )  # one of them is to blame: find it
        else:
            problems += _placed(outcome, start, chosen, samples, good)
    for start, outcome in _built(chosen, spec, sorted(again), 1):
        problems += _placed(outcome, start, chosen, samples, good)
    for name, reason in dict.fromkeys((name, reason) for _, name, reason in sorted(problems)):
        log.add(name, reason)
    return _without_gaps(samples, good)


def _built(
    chosen: Sequence[Cut], spec: ImageSpec, starts: Sequence[int], step: int
) -> Iterator[tuple[int, Outcome]]:
    jobs = ((spec, chosen[start : start + step]) for start in starts)
    for number, outcome in outcomes(build, jobs):
        yield starts[number], outcome


def _placed(
    outcome: Outcome,
    start: int,
    chosen: Sequence[Cut],
    samples: NDArray[np.float32],
    good: NDArray[np.bool_],
) -> list[Problem]:
    """Put what a job made into its places; return what could not be read."""
    if isinstance(outcome, Refused):
        return [(start, chosen[start].name, outcome.reason)]
    kept, problems = outcome.value
    for number, sample in zip(kept, outcome.arrays[0], strict=True):
        samples[start + number] = sample
        good[start + number] = True
    return [(start, name, reason) for name, reason in problems]


def _without_gaps(
    samples: NDArray[np.float32], good: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], list[int]]:
    kept = np.flatnonzero(good).tolist()
    for place, number in enumerate(kept):
        if place != number:
            samples[place] = samples[number]
    return samples[: len(kept)], kept


@cache
def _reader() -> Reader:
    """A worker's own, which keeps the last archive open."""
    return Reader()


def build(job: tuple[ImageSpec, Sequence[Cut]]) -> Answer:
    """Make the samples of a few cuts, in a worker: the numbers of those that could be, the problems, the samples."""
    spec, chosen = job
    log = QuarantineLog()
    with quiet():
        builder = Builder(spec, _reader(), log)
        found = [builder.sample(cut) for cut in chosen]
    kept = [number for number, sample in enumerate(found) if sample is not None]
    made = [sample for sample in found if sample is not None]
    shape = (len(made), *spec.input_shape)
    array = np.stack(made) if made else np.empty(shape, dtype=np.float32)
    return Answer([kept, log.result().details], [array])
