"""Unpacks compressed WFDB signal files (formats 508, 516 and 524): FLAC with one channel a signal."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from client.data.signals.waveform import MAX_SAMPLES, UnusableRecording
from client.data.signals.wfdb_samples import Samples

LOST = {"508": -(1 << 7), "516": -(1 << 15), "524": -(1 << 23)}
"""format → the value that means a lost sample."""
_BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}
_CHUNK = 1 << 20
"""Samples of a channel decoded at once: larger blocks fail in libsndfile, and a header may promise anything."""


def unpack_flac(raw: bytes, form: str, signals: int, start: int, count: int | None) -> Samples:
    """Return the samples of all signals, [samples, signals].

    Args:
        raw: the file.
        form: 508, 516 or 524.
        signals: how many the header says are in the file.
        start: sample at which the record begins.
        count: samples of a signal; none: all.

    Raises:
        UnusableRecording: the decoder is not installed, or the file is not what its header says.
    """
    sound = _decoder()
    try:
        with sound.SoundFile(io.BytesIO(raw)) as file:
            bits = _BITS.get(file.subtype, 99)
            if file.format != "FLAC" or bits > int(form) - 500 or file.channels != signals:
                raise UnusableRecording("the compressed file does not fit its header")
            if (count or file.frames) * signals > MAX_SAMPLES:
                raise UnusableRecording("the recording is too long")
            file.seek(start)
            found = _samples(file, bits, count)
    except sound.LibsndfileError:
        raise UnusableRecording("the compressed file is damaged") from None
    if count is not None and len(found) < count:
        raise UnusableRecording("a signal file is shorter than its header says")
    return found


def _samples(file: Any, bits: int, count: int | None) -> Samples:
    """Read to the end, or to the count. The library puts the bits at the upper end of its numbers."""
    parts, left = [np.empty((0, file.channels), np.int64)], count or file.frames
    while left > 0:
        part = file.read(min(left, _CHUNK), dtype="int32", always_2d=True)
        if not len(part):
            break
        parts.append(part.astype(np.int64) >> (32 - bits))
        left -= len(part)
    return np.concatenate(parts)


def _decoder() -> Any:
    try:
        import soundfile
    except (ImportError, OSError):
        raise UnusableRecording(
            "needs the package soundfile (pip install consilium[flac])"
        ) from None
    return soundfile
