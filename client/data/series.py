"""Series: windows of a signal on a regular grid, and the values that follow them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from client.data.apart import apart
from client.data.config import SeriesDataset
from client.data.quarantine import QuarantineLog
from client.data.readings import Recording, recordings
from client.data.samples import RawSamples
from common.data_spec import SeriesSpec
from common.errors import DataError

Floats = NDArray[np.float64]


class SeriesSource:
    """Reads `kind = "series"`."""

    def load(
        self, dataset: SeriesDataset, spec: SeriesSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read the recordings and cut them into windows (see `Source.load`)."""
        log = QuarantineLog()
        inputs: list[NDArray[np.float32]] = []
        targets: list[NDArray[np.float32]] = []
        patients: list[str] = []
        for recording in recordings(dataset, log, spec.unit):
            before = len(patients)
            for window, target in windows(_valid(recording, spec, log), spec):
                inputs.append(window)
                targets.append(target)
                patients += [recording.patient] * len(window)
            if len(patients) == before:
                log.add("a recording", "no complete window with its targets")
        if not patients:
            raise DataError(
                f"No patient has a complete window. Left out: {log.result().summary()}.",
                where=str(dataset.path),
                fix="Check the unit, max_gap_minutes, history_minutes and horizons_minutes.",
            )
        return RawSamples(
            inputs=np.concatenate(inputs)[..., None],
            targets=np.concatenate(targets),
            patients=patients,
            quarantine=log.result(),
        )


def unfollowed(dataset: SeriesDataset, spec: SeriesSpec) -> RawSamples:
    """Read windows at the study's stride for which nothing need follow: what the readings forecast is not looked for.

    Raises:
        DataError: no file is usable.
    """
    log = QuarantineLog()
    inputs = [np.empty((0, *spec.input_shape[:1]), np.float32)]
    patients: list[str] = []
    for recording in recordings(dataset, log, spec.unit):
        before = len(patients)
        for minutes, window in histories(recording, spec, log):
            step = np.rint((minutes - minutes[0]) / spec.step_minutes).astype(np.int64)
            kept = np.isin(step, apart(step, spec.in_steps(spec.stride_minutes)))
            inputs.append(window[kept])
            patients += [recording.patient] * int(kept.sum())
        if len(patients) == before:
            log.add("a recording", "no complete window")
    found = np.concatenate(inputs)[..., None]
    return RawSamples(found, np.zeros(len(found)), patients, quarantine=log.result())


def _valid(recording: Recording, spec: SeriesSpec, log: QuarantineLog) -> Recording:
    """Drop impossible readings: those out of range, then those that jump."""
    low = -np.inf if spec.valid_minimum is None else spec.valid_minimum
    high = np.inf if spec.valid_maximum is None else spec.valid_maximum
    within = (recording.values >= low) & (recording.values <= high)
    reached = _reachable(recording, within, spec.valid_change_per_minute)
    for reason, bad in (("impossible value", ~within), ("impossible change", within & ~reached)):
        for _ in range(int(bad.sum())):
            log.add("a reading", reason)
    keep = within & reached
    return Recording(recording.patient, recording.minutes[keep], recording.values[keep])


def _reachable(
    recording: Recording, within: NDArray[np.bool_], rate: float | None
) -> NDArray[np.bool_]:
    """Tell which readings can be reached from the last good one before; only the past decides.

    A lasting change is believed again once enough time has passed for it.
    """
    good = np.ones(len(within), dtype=np.bool_)
    if rate is None:
        return good
    last: tuple[float, float] | None = None
    pairs = zip(recording.minutes.tolist(), recording.values.tolist(), strict=True)
    for index, (minute, value) in enumerate(pairs):
        if not within[index]:
            continue
        if last is None or abs(value - last[1]) <= rate * max(minute - last[0], 1.0):
            last = (minute, value)
        else:
            good[index] = False
    return good


def windows(
    recording: Recording, spec: SeriesSpec
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield per stretch of the recording its windows [n, T] and targets [n, H], scaled.

    A window ends at a real reading, so nothing in it is interpolated from a later one.
    """
    steps, values = _gridded(recording, spec)
    if len(steps) == 0:
        return
    reach = max(
        spec.in_steps(max(spec.horizons_minutes)), int(spec.max_gap_minutes // spec.step_minutes)
    )
    breaks = np.flatnonzero(np.diff(steps) > max(reach, 1)) + 1
    for part, level in zip(np.split(steps, breaks), np.split(values, breaks), strict=True):
        yield from _cut(part, level, spec)


def histories(
    recording: Recording, spec: SeriesSpec, log: QuarantineLog
) -> Iterator[tuple[Floats, NDArray[np.float32]]]:
    """Yield per stretch when its windows end [n], minutes on the recording's clock, and the windows [n, T], scaled.

    They are those of `windows`, but one for every reading, and nothing need follow.
    """
    usable = _valid(recording, spec, log)
    steps, values = _gridded(usable, spec)
    length = spec.input_shape[0]
    breaks = np.flatnonzero(np.diff(steps) > max(spec.max_gap_minutes // spec.step_minutes, 1)) + 1
    for part, level in zip(np.split(steps, breaks), np.split(values, breaks), strict=True):
        if len(part) == 0 or part[-1] - part[0] + 1 < length:
            continue
        real = np.full(int(part[-1] - part[0]) + 1, np.nan)
        real[part - part[0]] = level
        joined = sliding_window_view(_interpolated(real, part - part[0], level, spec), length)
        ends = real[length - 1 :]
        chosen = np.flatnonzero(~np.isnan(ends) & ~np.isnan(joined).any(axis=1))
        if len(chosen):
            since = (part[0] + length - 1 + chosen) * spec.step_minutes
            yield usable.minutes[0] + since, _scaled(joined[chosen], spec)


def _gridded(recording: Recording, spec: SeriesSpec) -> tuple[NDArray[np.int64], Floats]:
    """Average the readings of each grid step; steps count from the recording's first reading."""
    if len(recording.minutes) == 0:
        return np.empty(0, np.int64), np.empty(0)
    since = recording.minutes - recording.minutes[0]
    step = np.floor(since / spec.step_minutes + 0.5).astype(np.int64)
    unique, inverse, counts = np.unique(step, return_inverse=True, return_counts=True)
    return unique, np.bincount(inverse, weights=recording.values) / counts


def _cut(
    steps: NDArray[np.int64], values: Floats, spec: SeriesSpec
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Cut one stretch without long breaks; `steps` [n] are the grid steps of its readings."""
    length, horizons = spec.input_shape[0], [spec.in_steps(h) for h in spec.horizons_minutes]
    span = int(steps[-1] - steps[0]) + 1
    if span < length + max(horizons):
        return
    real = np.full(span, np.nan)
    real[steps - steps[0]] = values
    level = _interpolated(real, steps - steps[0], values, spec)
    starts = np.arange(0, span - length - max(horizons) + 1)
    last = starts + length - 1
    target = np.stack([real[last + horizon] for horizon in horizons], axis=1)
    window = sliding_window_view(level, length)[: len(starts)]
    complete = ~np.isnan(real[last]) & ~np.isnan(target).any(axis=1)
    complete &= ~np.isnan(window).any(axis=1)
    chosen = apart(np.flatnonzero(complete), spec.in_steps(spec.stride_minutes))
    if len(chosen):
        yield _scaled(window[chosen], spec), _scaled(target[chosen], spec)


def _interpolated(
    real: Floats, steps: NDArray[np.int64], values: Floats, spec: SeriesSpec
) -> Floats:
    """Join readings at most `max_gap_minutes` apart by straight lines; NaN in longer gaps."""
    grid = np.arange(len(real))
    level = np.interp(grid, steps, values)
    following = np.searchsorted(steps, grid).clip(1, max(1, len(steps) - 1))
    gap = steps[following] - steps[following - 1] if len(steps) > 1 else np.zeros(len(real))
    level[np.isnan(real) & (gap * spec.step_minutes > spec.max_gap_minutes)] = np.nan
    return level


def _scaled(values: Floats, spec: SeriesSpec) -> NDArray[np.float32]:
    """Clip to the public range and map it to [-1, 1]."""
    clipped = np.clip(values, spec.minimum, spec.maximum)
    return ((clipped - spec.minimum) / spec.half_range - 1.0).astype(np.float32)
