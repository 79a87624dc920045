"""WFDB: every format, checksums, gaps, skew, several segments, and what a damaged record says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from waveform_files import pack, write_wfdb

from client.data.files import Reader, walk
from client.data.signals.waveform import Folder, UnusableRecording, Waveform
from client.data.signals.wfdb import read_wfdb, segment_headers
from client.data.signals.wfdb_samples import FORMATS, unpack

LIMITS = {"8": 60, "80": 120, "310": 500, "311": 500, "212": 2000}


def read(folder: Path, name: str, *wanted: str) -> Waveform:
    files = {file.name: file for file in walk(folder)}
    with Reader() as reader:
        return read_wfdb(name, Folder(files, reader), wanted)


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(3).integers(-1000, 1000, 501)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format(tmp_path: Path, samples: np.ndarray, form: str) -> None:
    top = LIMITS.get(form, 1000)
    one, two = np.clip(samples, -top // 2, top // 2), np.clip(samples[::-1], -top // 2, top // 2)
    write_wfdb(tmp_path, "r", {"II": one, "V 5": two}, form=form)
    found = read(tmp_path, "r.hea", "ii", "V 5", "aVR")
    assert set(found) == {"II", "V 5"}
    assert (found["II"].rate_hz, found["II"].unit) == (250.0, "mV")
    np.testing.assert_allclose(found["II"].values, one / 200, atol=1e-5)
    np.testing.assert_allclose(found["V 5"].values, two / 200, atol=1e-5)


def test_lost_samples_are_gaps(tmp_path: Path, samples: np.ndarray) -> None:
    samples[7] = -(1 << 15)
    write_wfdb(tmp_path, "r", {"II": samples})
    assert np.flatnonzero(np.isnan(read(tmp_path, "r.hea", "II")["II"].values)).tolist() == [7]


def test_a_flipped_bit_is_noticed(tmp_path: Path, samples: np.ndarray) -> None:
    write_wfdb(tmp_path, "r", {"II": samples})
    raw = bytearray((tmp_path / "r.dat").read_bytes())
    raw[40] ^= 4
    (tmp_path / "r.dat").write_bytes(raw)
    with pytest.raises(UnusableRecording, match="checksum"):
        read(tmp_path, "r.hea", "II")


def test_skew_and_samples_per_frame(tmp_path: Path) -> None:
    frames = np.array([[1, 2, 10], [3, 4, 20], [5, 6, 30]])
    (tmp_path / "r.dat").write_bytes(b"xx" + pack(frames.reshape(-1), "16"))
    lines = [
        "r 2 100 3",
        "r.dat 16x2+2 1/mV 12 0 0 21 0 fast",
        "r.dat 16:1+2 1/mmHg 12 0 0 60 0 slow",
    ]
    (tmp_path / "r.hea").write_text("\n".join(lines))
    found = read(tmp_path, "r.hea", "fast", "slow")
    assert found["fast"].values.tolist() == [1, 2, 3, 4, 5, 6]
    assert found["fast"].rate_hz == 200.0
    np.testing.assert_array_equal(found["slow"].values, [20, 30, np.nan])


def test_segments_with_a_gap_between_them(tmp_path: Path, samples: np.ndarray) -> None:
    for name in ("a", "b"):
        write_wfdb(tmp_path / "deep", name, {"II": samples[:10] if name == "a" else samples[:5]})
    (tmp_path / "deep" / "r.hea").write_text("r/3 1 250 19\na 10\n~ 4\nb 5\n")
    found = read(tmp_path, "deep/r.hea", "II")["II"].values
    np.testing.assert_allclose(found[:10], samples[:10] / 200, atol=1e-5)
    assert np.isnan(found[10:14]).all()
    np.testing.assert_allclose(found[14:], samples[:5] / 200, atol=1e-5)
    files = {file.name: file for file in walk(tmp_path)}
    with Reader() as reader:
        heads = [name for name in files if name.endswith(".hea")]
        assert segment_headers(heads, Folder(files, reader)) >= {"deep/a.hea", "deep/b.hea"}


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "not a WFDB header"),
        ("r 1 250 10\nr.dat 16 nonsense(\n", "not a WFDB header"),
        ("r 1 1e999 10\nr.dat 16 200 12 0 0 0 0 II\n", "not a WFDB header"),
        ("r 1 250 99999999999\nr.dat 16 200 12 0 0 0 0 II\n", "not a WFDB header"),
        ("r 1 250 10\n../../r.dat 16 200 12 0 0 0 0 II\n", "is missing"),
        ("r 1 250 10\nother.dat 16 200 12 0 0 0 0 II\n", "is missing"),
        ("r 1 250 9000\nr.dat 16 200 12 0 0 0 0 II\n", "shorter than its header says"),
        ("r 1 250 10\nr.dat 517 200 12 0 0 0 0 II\n", "format 517 is not supported"),
        (
            "r 2 250 10\nr.dat 16 200 12 0 0 0 0 II\nr.dat 212 200 12 0 0 0 0 V\n",
            "two formats",
        ),
        ("r/2 1 250 10\nr 5\nr 5\n", "segments of its own"),
        ("r/1 1 250 10\nr 99999999999\n", "not a WFDB header"),
    ],
)
def test_damaged_records(tmp_path: Path, samples: np.ndarray, header: str, said: str) -> None:
    write_wfdb(tmp_path, "r", {"II": samples})
    (tmp_path / "r.hea").write_text(header)
    with pytest.raises(UnusableRecording, match=said):
        read(tmp_path, "r.hea", "II")


def test_a_cut_file_holds_fewer_samples() -> None:
    raw = pack(np.arange(9), "212")
    assert unpack(raw, "212", 9) is not None
    assert unpack(raw[:-2], "212", 9) is None


@pytest.mark.parametrize(("form", "bits", "top"), [("516", 16, 30000), ("524", 24, 4_000_000)])
@pytest.mark.parametrize("per_frame", [1, 3])
def test_compressed_files(
    tmp_path: Path, samples: np.ndarray, form: str, bits: int, top: int, per_frame: int
) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs the extra 'flac'")
    table = np.stack([samples, samples[::-1]], axis=1) * (top // 1000)
    table[7, 0] = -(1 << (bits - 1))
    stored = table.astype(np.int32) << (32 - bits)
    soundfile.write(tmp_path / "r.flac", stored, 250, subtype=f"PCM_{bits}", format="FLAC")
    write_header(tmp_path, table, form, per_frame)
    found = read(tmp_path, "r.hea", "II", "V5")
    assert found["II"].rate_hz == 250.0 * per_frame
    assert np.flatnonzero(np.isnan(found["II"].values)).tolist() == [7]
    np.testing.assert_allclose(found["V5"].values, table[:, 1] / 200, rtol=1e-6)
    whole = (tmp_path / "r.flac").read_bytes()
    (tmp_path / "r.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnusableRecording, match=r"shorter|damaged"):
        read(tmp_path, "r.hea", "II")
    (tmp_path / "r.flac").write_bytes(b"no FLAC at all")
    with pytest.raises(UnusableRecording, match="the compressed file is damaged"):
        read(tmp_path, "r.hea", "II")


def write_header(folder: Path, table: np.ndarray, form: str, per_frame: int) -> None:
    lines = [f"r {table.shape[1]} 250 {len(table) // per_frame}"]
    for column, name in zip(table.T, ("II", "V5", "aVR"), strict=False):
        total = (int(column.sum()) + (1 << 15)) % (1 << 16) - (1 << 15)
        lines.append(f"r.flac {form}x{per_frame} 200(0)/mV 16 0 {column[0]} {total} 0 {name}")
    (folder / "r.hea").write_text("\n".join(lines))


def test_a_compressed_file_that_does_not_fit_its_header(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs the extra 'flac'")
    table = np.zeros((30, 3), np.int16)
    soundfile.write(tmp_path / "r.flac", table, 250, subtype="PCM_16", format="FLAC")
    for columns, form in ((2, "516"), (3, "508")):
        write_header(tmp_path, table[:, :columns], form, 1)
        with pytest.raises(UnusableRecording, match="does not fit its header"):
            read(tmp_path, "r.hea", "II")


def test_without_a_decoder_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    write_header(tmp_path, np.zeros((3, 1), np.int16), "516", 1)
    (tmp_path / "r.flac").write_bytes(b"fLaC")
    with pytest.raises(UnusableRecording, match="soundfile"):
        read(tmp_path, "r.hea", "II")
