"""WFDB annotations: rhythms and beats as labels, and files that are damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waveform_files import write_wfdb

from client.data.cohort import Cohort
from client.data.signals.waveform import UnusableRecording
from client.data.signals.wfdb_annotations import read_annotations

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "signals",
    "channels": [{"name": "II", "unit": "mV", "minimum": -2, "maximum": 2}],
    "sampling_hz": 100,
    "window_seconds": 1,
    "test_fraction": 0.0,
}
SITE = 'kind = "signals"\npath = "rec"\nlabels = "labels.csv"\nannotations = "atr"\n'
CODES = {"N": 1, "V": 5, "+": 28, "note": 22}


def annotations(marks: Sequence[tuple[int, str, bytes]]) -> bytes:
    """An annotation file: (sample, symbol, text) of each."""
    raw, before = b"", 0
    for sample, symbol, text in marks:
        step = sample - before
        before = sample
        if not 0 <= step < 1 << 10:
            raw += struct.pack("<3H", 59 << 10, (step >> 16) & 0xFFFF, step & 0xFFFF)
            step = 0
        raw += struct.pack("<H", CODES[symbol] << 10 | step)
        raw += struct.pack("<H", 62 << 10 | 1)  # a channel, which plays no part
        if text:
            raw += struct.pack("<H", 63 << 10 | len(text)) + text + b"\0" * (len(text) % 2)
    return raw + b"\0\0"


def record(folder: Path, name: str, marks: Sequence[tuple[int, str, bytes]], count: int) -> None:
    """A record of 250 samples a second, and its annotations."""
    write_wfdb(folder / "rec", name, {"II": np.arange(count) % 100})
    (folder / "rec" / f"{name}.atr").write_bytes(annotations(marks))


def test_marks_are_read_in_order_with_their_texts() -> None:
    marks = [(10, "+", b"(AFIB\0"), (900, "N", b""), (5000, "V", b""), (200_000, "+", b"(N")]
    found = read_annotations(annotations(marks), 250.0)
    assert [round(each.seconds * 250) for each in found] == [10, 900, 5000, 200_000]
    assert [each.rhythm for each in found] == ["AFIB", None, None, "N"]
    assert [each.beat for each in found] == [None, "N", "V", None]


def test_a_file_may_have_a_clock_of_its_own() -> None:
    marks = [(0, "note", b"## time resolution: 1000"), (500, "N", b"")]
    assert read_annotations(annotations(marks), 250.0)[1].seconds == 0.5
    nothing = struct.pack(
        "<4H", 59 << 10, 0xFFFF, 0xFFFF, 1
    )  # a step back and one that marks nothing
    found = read_annotations(nothing + annotations(marks[1:]), 250.0)
    assert [each.seconds for each in found] == [2.0]


def test_damaged_annotations() -> None:
    whole = annotations([(10, "+", b"(AFIB"), (90_000, "N", b"")])
    with pytest.raises(UnusableRecording, match="shorter"):
        read_annotations(whole[: whole.index(struct.pack("<H", 59 << 10)) + 4], 250.0)
    noise = np.random.default_rng(1)
    for cut in range(400):
        raw = noise.integers(0, 256, 400).astype(np.uint8).tobytes()
        with suppress(UnusableRecording):
            read_annotations(raw[:cut], 250.0)


def test_rhythms_are_labels(build: Build, tmp_path: Path) -> None:
    rhythms = [(0, "+", b"(N\0"), (1000, "+", b"(AFIB\0"), (2000, "+", b"(VT\0")]
    record(tmp_path, "one", rhythms, 2500)
    record(tmp_path, "two", [(500, "+", b"(N")], 1250)
    record(tmp_path, "unknown", rhythms, 2500)
    write_wfdb(tmp_path / "rec", "three", {"II": np.arange(500)})
    (tmp_path / "labels.csv").write_text("record,patient_id\none,a\ntwo,b\nthree,c\n")
    site = SITE + 'replace.label = { N = "normal", AFIB = "fibrillation" }\n'
    cohort = build(site, SPEC, ["normal", "fibrillation"])
    assert sorted(cohort.targets.tolist()) == [0] * (4 + 3) + [1] * 4
    assert dict(cohort.quarantine.counts) == {
        "recording: a file that its header names is missing": 1,
        "recording: it has no label": 1,
    }
    assert "1 annotations of rhythm are no class of the study." in cohort.notes


def test_each_beat_has_a_window_round_it(build: Build, tmp_path: Path) -> None:
    beats = [(50, "N", b""), (300, "N", b""), (500, "V", b""), (777, "N", b""), (1249, "V", b"")]
    record(tmp_path, "one", beats, 1250)
    (tmp_path / "labels.csv").write_text("record,patient_id\none,a\n")
    cohort = build(SITE + 'annotated = "beats"\n', SPEC, ["N", "V"])
    assert cohort.targets.tolist() == [0, 1, 0], "the first and the last are too near the ends"
