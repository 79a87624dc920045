"""EDF and BDF: units, interrupted recordings, unfinished and damaged files, and no patient in sight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from waveform_files import write_edf

from client.data.files import Reader, walk
from client.data.signals.edf import read_edf
from client.data.signals.waveform import Folder, UnusableRecording, Waveform

SAMPLES = np.random.default_rng(5).integers(-900, 900, 500)


def read(path: Path, *wanted: str) -> Waveform:
    files = {file.name: file for file in walk(path)}
    with Reader() as reader:
        return read_edf(path.name, Folder(files, reader), wanted)


def test_channels_rates_and_units(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", {"EEG Fp1": SAMPLES, "EEG Fp2": -SAMPLES})
    found = read(tmp_path / "a.edf", "eeg fp2")
    assert set(found) == {"EEG Fp2"}
    assert (found["EEG Fp2"].rate_hz, found["EEG Fp2"].unit) == (100.0, "uV")
    np.testing.assert_allclose(found["EEG Fp2"].values, -SAMPLES, atol=1e-3)


def test_an_interrupted_recording_has_gaps(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", {"E": SAMPLES}, onsets=[0, 1, 4, 5, 6.5])
    values = read(tmp_path / "a.edf", "E")["E"].values
    assert len(values) == 750
    np.testing.assert_allclose(values[:200], SAMPLES[:200], atol=1e-3)
    assert np.isnan(values[200:400]).all()
    np.testing.assert_allclose(values[400:600], SAMPLES[200:400], atol=1e-3)
    assert np.isnan(values[600:650]).all()


def test_a_recorder_that_was_not_stopped(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", {"E": SAMPLES}, records=-1)
    assert len(read(tmp_path / "a.edf", "E")["E"].values) == 500


def test_24_bits(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", {"E": SAMPLES})
    raw = (tmp_path / "a.edf").read_bytes()
    body = SAMPLES.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    (tmp_path / "a.bdf").write_bytes(b"\xffBIOSEMI" + raw[8:512] + body)
    np.testing.assert_allclose(read(tmp_path / "a.bdf", "E")["E"].values, SAMPLES, atol=1e-3)


@pytest.mark.parametrize(
    ("start", "text", "said"),
    [
        (0, b"1       ", "not an EDF header"),
        (252, b"9999", "not an EDF header"),
        (252, b"-1  ", "not an EDF header"),
        (244, b"0       ", "not an EDF header"),
        (236, b"77      ", "shorter than its header says"),
        (236, b"0       ", "holds no samples"),
        (256 + 120, b"1000    ", "range is empty"),
        (256 + 216, b"99999999", "not an EDF header"),
        (192, b"EDF+D", "does not say when its parts start"),
    ],
)
def test_damaged_files(tmp_path: Path, start: int, text: bytes, said: str) -> None:
    write_edf(tmp_path / "a.edf", {"E": SAMPLES})
    raw = bytearray((tmp_path / "a.edf").read_bytes())
    raw[start : start + len(text)] = text
    (tmp_path / "a.edf").write_bytes(raw)
    with pytest.raises(UnusableRecording, match=said):
        read(tmp_path / "a.edf", "E")


def test_parts_that_overlap_in_time(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", {"E": SAMPLES}, onsets=[0, 1, 1.5, 3, 4])
    with pytest.raises(UnusableRecording, match="overlap"):
        read(tmp_path / "a.edf", "E")
