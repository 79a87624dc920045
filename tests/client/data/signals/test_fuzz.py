"""Damaged recordings: whatever the bytes, a reader gives channels or says that the recording cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from waveform_files import write_edf, write_wfdb

from client.data.files import Reader, walk
from client.data.signals.edf import read_edf
from client.data.signals.waveform import Folder, Format, UnusableRecording
from client.data.signals.wfdb import read_wfdb

SAMPLES = np.arange(-200, 200)


def damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, put digits where they hurt, cut, or repeat a part."""
    data = bytearray(raw)
    for _ in range(rng.integers(1, 6)):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    if rng.random() < 0.5:
        data[rng.integers(len(data))] = ord("0123456789-+.e/(x~ "[rng.integers(19)])
    if rng.random() < 0.2:
        del data[rng.integers(len(data)) :]
    if rng.random() < 0.2:
        place = rng.integers(len(data) + 1)
        data[place:place] = data[:40]
    return bytes(data)


def outcome(folder: Path, name: str, read: Format) -> str:
    """Read, and return the reason if that cannot be."""
    files = {file.name: file for file in walk(folder)}
    with Reader() as reader:
        try:
            found = read(name, Folder(files, reader), ["II", "V"])
        except UnusableRecording as error:
            return str(error)
    return ", ".join(sorted({str(channel.values.dtype) for channel in found.values()}))


@pytest.mark.parametrize(
    ("name", "read"), [("r.hea", read_wfdb), ("r.dat", read_wfdb), ("r.edf", read_edf)]
)
def test_mutants(tmp_path: Path, name: str, read: Format) -> None:
    write_wfdb(tmp_path, "r", {"II": SAMPLES, "V": -SAMPLES}, form="212")
    write_edf(tmp_path / "r.edf", {"II": SAMPLES}, onsets=[0, 1, 5, 6])
    raw = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(11)
    outcomes = set()
    for _ in range(400):
        (tmp_path / name).write_bytes(damaged(raw, rng))
        outcomes.add(outcome(tmp_path, name.replace(".dat", ".hea"), read))
    assert len(outcomes) > 1
    assert all(len(said) < 80 for said in outcomes)
