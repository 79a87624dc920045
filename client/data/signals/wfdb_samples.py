"""Unpacks WFDB signal files: stored bytes → integer samples, by the formats of signal(5) of the WFDB manual."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int64]
Bytes = NDArray[np.uint8]


def _plain(dtype: str) -> Callable[[Bytes], Samples]:
    return lambda raw: raw.view(np.dtype(dtype)).astype(np.int64)


def _offset(dtype: str, zero: int) -> Callable[[Bytes], Samples]:
    return lambda raw: raw.view(np.dtype(dtype)).astype(np.int64) - zero


def _signed(values: Samples, bits: int) -> Samples:
    half = 1 << (bits - 1)
    return (values ^ half) - half


def _three_bytes(raw: Bytes) -> Samples:
    parts = raw.reshape(-1, 3).astype(np.int64)
    return _signed(parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16, 24)


def _format_212(raw: Bytes) -> Samples:
    parts = raw.reshape(-1, 3).astype(np.int64)
    first = parts[:, 0] | (parts[:, 1] & 0x0F) << 8
    second = parts[:, 2] | (parts[:, 1] >> 4) << 8
    return _signed(np.stack([first, second], axis=1).reshape(-1), 12)


def _format_310(raw: Bytes) -> Samples:
    words = raw.view("<u2").reshape(-1, 2).astype(np.int64)
    first, second = words[:, 0] >> 1 & 0x3FF, words[:, 1] >> 1 & 0x3FF
    third = words[:, 0] >> 11 & 0x1F | (words[:, 1] >> 11 & 0x1F) << 5
    return _signed(np.stack([first, second, third], axis=1).reshape(-1), 10)


def _format_311(raw: Bytes) -> Samples:
    words = raw.view("<u4").astype(np.int64)
    parts = [words >> shift & 0x3FF for shift in (0, 10, 20)]
    return _signed(np.stack(parts, axis=1).reshape(-1), 10)


# format → (bytes, samples) of one group, how a group is unpacked, and the value that means a lost sample
FORMATS: dict[str, tuple[int, int, Callable[[Bytes], Samples], int | None]] = {
    "8": (1, 1, _plain("i1"), None),
    "16": (2, 1, _plain("<i2"), -(1 << 15)),
    "24": (3, 1, _three_bytes, -(1 << 23)),
    "32": (4, 1, _plain("<i4"), -(1 << 31)),
    "61": (2, 1, _plain(">i2"), -(1 << 15)),
    "80": (1, 1, _offset("u1", 128), -128),
    "160": (2, 1, _offset("<u2", 1 << 15), -(1 << 15)),
    "212": (3, 2, _format_212, -(1 << 11)),
    "310": (4, 3, _format_310, -(1 << 9)),
    "311": (4, 3, _format_311, -(1 << 9)),
}


def unpack(raw: bytes, form: str, count: int | None) -> Samples | None:
    """Return the first `count` samples (none: all); nothing if there are fewer."""
    size, group, unpacked, _ = FORMATS[form]
    stored = len(raw) * group // size if count is None else count
    needed = -(-stored // group) * size
    # The last group may be cut short after the last sample that counts.
    if len(raw) < -(-stored * size // group):
        return None
    padded = raw[:needed].ljust(needed, b"\0")
    return unpacked(np.frombuffer(padded, np.uint8))[:stored]
