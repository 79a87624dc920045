"""Cuts a recording on the study's grid into windows that are complete and have one label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from client.data.apart import apart
from client.data.signals.labels import Part
from common.data_spec import SignalSpec


def windows(
    grid: NDArray[np.float32], parts: Sequence[Part], spec: SignalSpec
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the windows [n, T, C], scaled to [-1, 1], and their classes [n].

    Args:
        grid: [N, C] at the study's rate, NaN in gaps.
        parts: which class holds when; a window lies inside one part.
        spec: length, stride, ranges and how many windows at most.
    """
    length, channels = spec.input_shape
    starts, numbers = _starts(grid, parts, spec)
    if len(starts) == 0:
        return np.empty((0, length, channels), np.float32), np.empty(0, np.int64)
    chosen = _spread(len(starts), spec.max_samples_per_patient)
    view = sliding_window_view(grid, length, axis=0)[starts[chosen]]
    return _scaled(view.transpose(0, 2, 1), spec), numbers[chosen]


def _starts(
    grid: NDArray[np.float32], parts: Sequence[Part], spec: SignalSpec
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    length, rate = spec.input_shape[0], spec.sampling_hz
    if len(grid) < length:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    lost = np.concatenate([[0], np.cumsum(np.isnan(grid).any(axis=1))])
    whole = np.flatnonzero(lost[length:] == lost[: len(lost) - length])
    found: list[int] = []
    numbers: list[int] = []
    for part in parts:
        first = int(np.ceil(max(part.start, 0.0) * rate - 1e-6))
        last = min(len(grid), np.floor(part.end * rate + 1e-6)) - length
        inside = whole[(whole >= first) & (whole <= last)]
        kept = apart(inside, spec.stride).tolist()
        found += kept
        numbers += [part.number] * len(kept)
    return np.array(found, np.int64), np.array(numbers, np.int64)


def _spread(count: int, most: int | None) -> NDArray[np.int64]:
    """Choose at most so many, evenly: what no patient can use is not held in memory."""
    if most is None or count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def _scaled(values: NDArray[np.float32], spec: SignalSpec) -> NDArray[np.float32]:
    """Clip every channel to its public range and map it to [-1, 1]."""
    low = np.array([channel.minimum for channel in spec.channels], np.float32)
    high = np.array([channel.maximum for channel in spec.channels], np.float32)
    return np.asarray((np.clip(values, low, high) - low) / ((high - low) / 2) - 1, np.float32)
