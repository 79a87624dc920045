"""Reads WFDB records: a `.hea` header with its signal files, of one or several segments (header(5) of its manual)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
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
from client.data.signals.wfdb_flac import LOST, unpack_flac
from client.data.signals.wfdb_samples import FORMATS, Samples, unpack

_FORMAT = re.compile(r"(\d{1,3})(?:x(\d{1,4}))?(?::(\d{1,6}))?(?:\+(\d{1,9}))?", re.ASCII)
_GAIN = re.compile(r"([-+.\deE]+)(?:\((-?\d{1,9})\))?(?:/(\S+))?", re.ASCII)
_DEFAULT_GAIN = 200.0


@dataclass(frozen=True)
class _Signal:
    """One line of a header; see header(5)."""

    file: str
    form: str
    per_frame: int
    skew: int
    start: int
    gain: float
    baseline: int
    unit: str
    initial: int
    checksum: int | None
    name: str


@dataclass(frozen=True)
class _Header:
    rate: float
    frames: int | None
    signals: tuple[_Signal, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()


def read_wfdb(name: str, folder: Folder, wanted: Collection[str]) -> Waveform:
    """Read the record of a header (see `Format`)."""
    try:
        header = _header(folder.read(name).decode("utf-8", "replace"))
    except (ValueError, IndexError, OverflowError):
        raise UnusableRecording("the header is not a WFDB header") from None
    place = name[: name.rfind("/") + 1]
    if header.segments:
        return _joined(header, place, folder, wanted)
    return _record(header, place, folder, wanted)


def frames_per_second(name: str, folder: Folder) -> float:
    """Return the rate of a record's frames, in which annotations count.

    Raises:
        UnusableRecording: the header cannot be read.
    """
    try:
        return _header(folder.read(name).decode("utf-8", "replace")).rate
    except (ValueError, IndexError, OverflowError):
        raise UnusableRecording("the header is not a WFDB header") from None


def segment_headers(names: Collection[str], folder: Folder) -> set[str]:
    """Return those headers that are a segment of another one: they are no recordings of their own."""
    found: set[str] = set()
    for name in names:
        try:
            header = _header(folder.read(name).decode("utf-8", "replace"))
        except (UnusableRecording, ValueError, IndexError, OverflowError):
            continue  # reading it as a recording will say why
        place = name[: name.rfind("/") + 1]
        found |= {f"{place}{segment}.hea" for segment, _ in header.segments}
    return found


def _header(text: str) -> _Header:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    record = lines[0].split()
    count = int(record[1])
    rate = float(record[2].split("/")[0].split("(")[0]) if len(record) > 2 else 250.0
    frames = int(record[3]) if len(record) > 3 else 0
    if not 0 < rate < 1e9 or not 0 <= frames <= MAX_SAMPLES or not 0 <= count <= 4096:
        raise ValueError
    if "/" in record[0]:
        total = int(record[0].split("/")[1])
        parts = [line.split() for line in lines[1 : 1 + total]]
        return _Header(rate, frames, segments=tuple((p[0], int(p[1])) for p in parts))
    signals = tuple(_signal(line) for line in lines[1 : 1 + count])
    if len(signals) != count:
        raise ValueError
    return _Header(rate, frames or None, signals)


def _signal(line: str) -> _Signal:
    fields = line.split(maxsplit=8)
    form = _FORMAT.fullmatch(fields[1])
    gain = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    if form is None or (len(fields) > 2 and gain is None):
        raise ValueError
    zero = int(fields[4]) if len(fields) > 4 else 0
    calibrated = float(gain[1]) if gain else 0.0
    return _Signal(
        file=fields[0],
        form=form[1],
        per_frame=max(1, int(form[2] or 1)),
        skew=int(form[3] or 0),
        start=int(form[4] or 0),
        gain=calibrated if np.isfinite(calibrated) and calibrated else _DEFAULT_GAIN,
        baseline=int(gain[2]) if gain and gain[2] else zero,
        unit=gain[3] if gain and gain[3] else "mV",
        initial=int(fields[5]) if len(fields) > 5 else zero,
        checksum=int(fields[6]) if len(fields) > 6 else None,
        name=fields[8].strip() if len(fields) > 8 else "",
    )


def _record(header: _Header, place: str, folder: Folder, wanted: Collection[str]) -> Waveform:
    """Read the wanted signals of a record of one segment."""
    found: dict[str, Channel] = {}
    for file in dict.fromkeys(signal.file for signal in header.signals):
        group = [signal for signal in header.signals if signal.file == file]
        if file != "~" and any(is_wanted(signal.name, wanted) for signal in group):
            found |= _channels(group, header, folder.read(place + file), wanted)
    return found


def _channels(
    group: Sequence[_Signal], header: _Header, raw: bytes, wanted: Collection[str]
) -> dict[str, Channel]:
    """Take one file's signals apart: frames of `per_frame` samples of each signal."""
    form, start = group[0].form, group[0].start
    if any((signal.form, signal.start) != (form, start) for signal in group):
        raise UnusableRecording("one signal file has two formats")
    if form in LOST:
        return _compressed(group, header, raw, wanted)
    if form not in FORMATS:
        raise UnusableRecording(f"WFDB format {form} is not supported")
    width = sum(signal.per_frame for signal in group)
    size = None if header.frames is None else header.frames * width
    samples = unpack(raw[start:], form, size)
    if samples is None:
        raise UnusableRecording("a signal file is shorter than its header says")
    frames = samples[: len(samples) // width * width].reshape(-1, width)
    found, column = {}, 0
    for signal in group:
        if is_wanted(signal.name, wanted):
            own = frames[:, column : column + signal.per_frame].reshape(-1)
            rate = header.rate * signal.per_frame
            found[signal.name] = Channel(_physical(own, signal), rate, signal.unit)
        column += signal.per_frame
    return found


def _compressed(
    group: Sequence[_Signal], header: _Header, raw: bytes, wanted: Collection[str]
) -> dict[str, Channel]:
    """Take a FLAC file apart: a channel a signal, all of one rate."""
    each = group[0].per_frame
    if any(signal.per_frame != each for signal in group):
        raise UnusableRecording("the compressed file does not fit its header")
    count = None if header.frames is None else header.frames * each
    samples = unpack_flac(raw, group[0].form, len(group), group[0].start, count)
    return {
        signal.name: Channel(_physical(samples[:, column], signal), header.rate * each, signal.unit)
        for column, signal in enumerate(group)
        if is_wanted(signal.name, wanted)
    }


def _physical(samples: Samples, signal: _Signal) -> NDArray[np.float32]:
    """Check the sum, mark what was lost and convert to the signal's unit."""
    if signal.form == "8":
        samples = np.cumsum(samples) + signal.initial
    if signal.checksum is not None and (int(samples.sum()) - signal.checksum) % (1 << 16):
        raise UnusableRecording("the samples do not have the checksum that the header gives")
    lost = LOST[signal.form] if signal.form in LOST else FORMATS[signal.form][3]
    values = ((samples - signal.baseline) / signal.gain).astype(np.float32)
    if lost is not None:
        values[samples == lost] = np.nan
    ahead = signal.skew * signal.per_frame
    return np.concatenate([values[ahead:], np.full(min(ahead, len(values)), np.nan, np.float32)])


def _joined(header: _Header, place: str, folder: Folder, wanted: Collection[str]) -> Waveform:
    """Put the segments one behind the other; a segment without a channel is a gap in it."""
    total = sum(length for _, length in header.segments)
    if not 0 < total <= MAX_SAMPLES:
        raise UnusableRecording("the header is not a WFDB header")
    found: dict[str, Channel] = {}
    position = 0
    for name, length in header.segments:
        if name != "~" and length:
            _add(found, _segment(f"{place}{name}.hea", folder, wanted), position, total, header)
        position += length
    return found


def _segment(name: str, folder: Folder, wanted: Collection[str]) -> Waveform:
    try:
        header = _header(folder.read(name).decode("utf-8", "replace"))
    except (ValueError, IndexError, OverflowError):
        raise UnusableRecording("the header of a segment is not a WFDB header") from None
    if header.segments:
        raise UnusableRecording("a segment has segments of its own")
    return _record(header, name[: name.rfind("/") + 1], folder, wanted)


def _add(
    found: dict[str, Channel], part: Waveform, position: int, total: int, header: _Header
) -> None:
    for name, channel in part.items():
        each = max(1, round(channel.rate_hz / header.rate))
        if total * each > MAX_SAMPLES:
            raise UnusableRecording("the recording is too long")
        if name not in found:
            empty = np.full(total * each, np.nan, np.float32)
            found[name] = Channel(empty, channel.rate_hz, channel.unit)
        whole = found[name]
        if (whole.rate_hz, whole.unit) != (channel.rate_hz, channel.unit):
            raise UnusableRecording("the segments differ in rate or unit")
        room = whole.values[position * each :][: len(channel.values)]
        room[:] = channel.values[: len(room)]
