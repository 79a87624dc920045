"""Brings a channel to the study's unit and rate; lost and impossible samples become gaps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from client.data.signals.waveform import Channel, UnusableRecording
from client.data.units import Conversion
from common.data_spec import Quantity

Values = NDArray[np.float32]


def possible(channel: Channel, unit: Conversion, quantity: Quantity) -> tuple[Channel, int]:
    """Return the channel in the study's unit without impossible values, and how many there were."""
    values = channel.values * np.float32(unit.factor) + np.float32(unit.offset)
    low = -np.inf if quantity.valid_minimum is None else quantity.valid_minimum
    high = np.inf if quantity.valid_maximum is None else quantity.valid_maximum
    bad = (values < low) | (values > high) | np.isinf(values)
    values[bad] = np.nan
    return Channel(values, channel.rate_hz, quantity.unit), int(bad.sum())


def resampled(channel: Channel, rate: float, max_gap_seconds: float) -> Values:
    """Return the channel at another rate, NaN in gaps longer than `max_gap_seconds`.

    Each stretch between two gaps is filtered on its own (a polyphase low-pass against aliasing), so a gap never
    smears. A stretch's ends are filtered as if they went on in a straight line.

    Raises:
        UnusableRecording: the two rates have no ratio to work with.
    """
    ratio = _ratio(rate, channel.rate_hz)
    filled = _bridged(channel.values, int(max_gap_seconds * channel.rate_hz))
    if ratio == 1:
        return filled
    result = np.full(_length(len(filled), ratio), np.nan, np.float32)
    for start, end in _stretches(~np.isnan(filled)):
        part = _filtered(filled[start:end], ratio)
        first = _length(start, ratio)
        room = result[first : first + len(part)]
        room[:] = part[: len(room)]
    return result


def _ratio(rate: float, own: float) -> Fraction:
    ratio = Fraction(rate / own).limit_denominator(1000)
    if ratio == 0 or ratio.numerator > 1000 or abs(float(ratio) * own / rate - 1) > 1e-4:
        raise UnusableRecording("its rate cannot be brought to the study's")
    return ratio


def _length(samples: int, ratio: Fraction) -> int:
    """Samples after resampling, rounded up."""
    return -(-samples * ratio.numerator // ratio.denominator)


def _filtered(values: Values, ratio: Fraction) -> Values:
    from scipy.signal import resample_poly

    if len(values) < 2:
        return np.empty(0, np.float32)
    padding = "line" if len(values) > 10 else "edge"
    return np.asarray(
        resample_poly(values, ratio.numerator, ratio.denominator, padtype=padding), np.float32
    )


def _stretches(present: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _bridged(values: Values, longest: int) -> Values:
    """Join two samples by a straight line where at most `longest` between them were lost."""
    filled = values.copy()
    for (_, end), (start, _) in pairwise(_stretches(~np.isnan(values))):
        if start - end <= longest:
            line = np.linspace(values[end - 1], values[start], start - end + 2, dtype=np.float32)
            filled[end:start] = line[1:-1]
    return filled
