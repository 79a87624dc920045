"""Reads EDF, EDF+ and BDF (Kemp et al. 1992; Kemp and Olivan 2003). The fields that name a patient are never read."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.data.signals.waveform import (
    MAX_SAMPLES,
    Channel,
    Folder,
    UnusableRecording,
    Waveform,
    is_wanted,
)

_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_ONSET = re.compile(rb"([+-]\d{1,12}(?:\.\d{1,9})?)[\x14\x15]")
_SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)  # widths of the fields of one signal


@dataclass(frozen=True)
class _Signal:
    """One signal's fields, and where its samples lie in a data record."""

    label: str
    unit: str
    low: float
    high: float
    digital_low: int
    digital_high: int
    samples: int
    start: int


@dataclass(frozen=True)
class _Layout:
    """What the header says, without the patient.

    Attributes:
        signals: in order, the annotations among them.
        width: bytes of a sample.
        seconds: of a data record.
        interrupted: records need not follow each other (EDF+D): each says when it starts.
        records: [R, samples × width] the data.
    """

    signals: tuple[_Signal, ...]
    width: int
    seconds: float
    interrupted: bool
    records: NDArray[np.uint8]


def read_edf(name: str, folder: Folder, wanted: Collection[str]) -> Waveform:
    """Read the wanted signals of an EDF or BDF file (see `Format`)."""
    raw = folder.read(name)
    try:
        layout = _layout(raw)
    except (ValueError, OverflowError):
        raise UnusableRecording("the header is not an EDF header") from None
    place = _places(layout) if layout.interrupted else None
    found: dict[str, Channel] = {}
    for signal in layout.signals:
        if signal.label not in _ANNOTATIONS and is_wanted(signal.label, wanted):
            if signal.label in found:
                raise UnusableRecording("two channels have the same name")
            rate = signal.samples / layout.seconds
            values = _placed(_values(signal, layout), place, rate)
            found[signal.label] = Channel(values, rate, signal.unit)
    return found


def _layout(raw: bytes) -> _Layout:
    bdf = raw[:8] == b"\xffBIOSEMI"
    if not bdf and raw[:8].rstrip() != b"0":
        raise ValueError
    count = int(raw[252:256])
    stated, seconds = int(raw[236:244]), float(raw[244:252])
    if not 1 <= count <= 4096 or not 0 < seconds < 1e6 or len(raw) < 256 * (1 + count):
        raise ValueError
    width = 3 if bdf else 2
    signals, start = [], 0
    for fields in _fields(raw[256:], count):
        signal = _signal(fields, start)
        signals.append(signal)
        start += signal.samples * width
    body = np.frombuffer(raw, np.uint8)[256 * (1 + count) :]
    records = len(body) // start if stated < 0 else stated  # -1: the recorder was not stopped
    if records * start > len(body):
        raise UnusableRecording("the file is shorter than its header says")
    if records == 0:
        raise UnusableRecording("the file holds no samples")
    data = body[: records * start].reshape(records, start)
    return _Layout(tuple(signals), width, seconds, raw[192:197] in (b"EDF+D", b"BDF+D"), data)


def _fields(raw: bytes, count: int) -> list[list[str]]:
    """Return each signal's fields; the header holds them field by field."""
    columns, start = [], 0
    for width in _SIGNAL_FIELDS:
        cells = [raw[start + i * width : start + (i + 1) * width] for i in range(count)]
        columns.append([cell.decode("latin-1").strip(" \0") for cell in cells])
        start += width * count
    return [list(row) for row in zip(*columns, strict=True)]


def _signal(fields: list[str], start: int) -> _Signal:
    label, _, unit = fields[:3]
    low, high = (float(text.replace(",", ".")) for text in fields[3:5])
    digital_low, digital_high = (int(text) for text in fields[5:7])
    samples = int(fields[8])
    if not 1 <= samples <= 1 << 24 or not np.isfinite([low, high]).all():
        raise ValueError
    if label not in _ANNOTATIONS and (digital_low >= digital_high or low == high):
        raise UnusableRecording("a signal's range is empty")
    return _Signal(label, unit, low, high, digital_low, digital_high, samples, start)


def _bytes(signal: _Signal, layout: _Layout) -> NDArray[np.uint8]:
    """Return [R, samples × width], a copy."""
    end = signal.start + signal.samples * layout.width
    return np.ascontiguousarray(layout.records[:, signal.start : end])


def _values(signal: _Signal, layout: _Layout) -> NDArray[np.float32]:
    """Return [R, samples] in the signal's unit."""
    raw = _bytes(signal, layout)
    if layout.width == 2:
        digital = raw.view("<i2").astype(np.int32)
    else:
        parts = raw.reshape(len(raw), -1, 3).astype(np.int32)
        digital = parts[..., 0] | parts[..., 1] << 8 | parts[..., 2] << 16
        digital = (digital ^ 0x800000) - 0x800000
    scale = (signal.high - signal.low) / (signal.digital_high - signal.digital_low)
    values: NDArray[np.float32] = np.asarray(
        (digital - signal.digital_low) * scale + signal.low, np.float32
    )
    return values


def _places(layout: _Layout) -> NDArray[np.float64]:
    """Return the seconds at which each data record starts, after the first.

    Raises:
        UnusableRecording: a record does not say, or they do not follow each other.
    """
    clocks = [signal for signal in layout.signals if signal.label in _ANNOTATIONS]
    if not clocks:
        raise UnusableRecording("an interrupted recording does not say when its parts start")
    onsets = []
    for row in _bytes(clocks[0], layout):
        match = _ONSET.match(row.tobytes())
        if match is None:
            raise UnusableRecording("an interrupted recording does not say when its parts start")
        onsets.append(float(match[1]))
    seconds = np.array(onsets) - onsets[0]
    if (np.diff(seconds) < layout.seconds - 1e-3).any():
        raise UnusableRecording("the parts of the recording overlap")
    return seconds


def _placed(
    values: NDArray[np.float32], seconds: NDArray[np.float64] | None, rate: float
) -> NDArray[np.float32]:
    """Put the records where they belong in time; what lies between them is lost."""
    if seconds is None:
        return values.reshape(-1)
    starts = np.rint(seconds * rate).astype(np.int64)
    total = int(starts[-1]) + values.shape[1]
    if total > MAX_SAMPLES:
        raise UnusableRecording("the recording is too long")
    whole = np.full(total, np.nan, np.float32)
    for start, record in zip(starts.tolist(), values, strict=True):
        whole[start : start + len(record)] = record
    return whole
