"""Writes small WFDB and EDF recordings, sample by sample, as their manuals say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int64]


def pack(flat: Samples, form: str) -> bytes:
    """Store integer samples in a WFDB format."""
    simple = {"8": "i1", "16": "<i2", "32": "<i4", "61": ">i2"}
    if form in simple:
        return flat.astype(simple[form]).tobytes()
    if form == "80":
        return (flat + 128).astype("u1").tobytes()
    if form == "160":
        return (flat + (1 << 15)).astype("<u2").tobytes()
    if form == "24":
        return flat.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    group = 2 if form == "212" else 3
    padded = np.concatenate([flat, np.zeros(-len(flat) % group, np.int64)]).reshape(-1, group)
    if form == "212":
        one, two = padded[:, 0] & 0xFFF, padded[:, 1] & 0xFFF
        middle = one >> 8 | two >> 8 << 4
        return np.stack([one & 0xFF, middle, two & 0xFF], axis=1).astype("u1").tobytes()
    one, two, three = (padded & 0x3FF).T
    if form == "311":
        return (one | two << 10 | three << 20).astype("<u4").tobytes()
    low = one << 1 | (three & 0x1F) << 11
    high = two << 1 | three >> 5 << 11
    return np.stack([low, high], axis=1).astype("<u2").tobytes()


def write_wfdb(
    folder: Path,
    name: str,
    channels: dict[str, Samples],
    *,
    form: str = "16",
    rate: float = 250.0,
    gain: float = 200.0,
    unit: str = "mV",
) -> None:
    """Write a header and one signal file with all channels."""
    folder.mkdir(parents=True, exist_ok=True)
    table = np.stack(list(channels.values()), axis=1)
    stored = np.diff(table, axis=0, prepend=table[:1]) if form == "8" else table
    (folder / f"{name}.dat").write_bytes(pack(stored.reshape(-1), form))
    lines = [f"{name} {len(channels)} {rate:g} {len(table)}"]
    for label, samples in channels.items():
        total = (int(samples.sum()) + (1 << 15)) % (1 << 16) - (1 << 15)
        lines.append(f"{name}.dat {form} {gain:g}(0)/{unit} 12 0 {samples[0]} {total} 0 {label}")
    (folder / f"{name}.hea").write_text("\n".join([*lines, "# a comment", ""]))


def write_edf(
    path: Path,
    channels: dict[str, Samples],
    *,
    rate: int = 100,
    unit: str = "uV",
    patient: str = "X",
    onsets: list[float] | None = None,
    records: int | None = None,
) -> None:
    """Write an EDF file with data records of one second; `onsets` make it an interrupted EDF+D."""
    count = len(next(iter(channels.values()))) // rate
    labels = [*channels, *(["EDF Annotations"] if onsets else [])]
    size = [rate] * len(channels) + ([16] if onsets else [])

    def field(text: object, width: int) -> bytes:
        return str(text).ljust(width).encode("latin-1")[:width]

    number = len(labels)
    head = [field(0, 8), field(patient, 80), field("", 80), field("01.01.24", 8), field("", 8)]
    head += [field(256 * (1 + number), 8), field("EDF+D" if onsets else "", 44)]
    head += [field(count if records is None else records, 8), field(1, 8), field(number, 4)]
    columns: list[tuple[list[object], int]] = [
        (list(labels), 16),
        ([""] * number, 80),
        ([unit] * number, 8),
        ([-1000] * number, 8),
        ([1000] * number, 8),
        ([-1000] * number, 8),
        ([1000] * number, 8),
        ([""] * number, 80),
        (list(size), 8),
        ([""] * number, 32),
    ]
    head += [field(value, width) for values, width in columns for value in values]
    body = []
    for row in range(count):
        part = slice(row * rate, (row + 1) * rate)
        body += [samples[part].astype("<i2").tobytes() for samples in channels.values()]
        if onsets:
            body.append(f"+{onsets[row]:g}\x14\x14\0".encode().ljust(32, b"\0"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(head + body))
