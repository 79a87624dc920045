"""Signals: what a site with recordings and labels gets, and what leaks or is damaged is kept out."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waveform_files import write_edf, write_wfdb

from client.data.cohort import Cohort
from client.data.signals.resample import resampled
from client.data.signals.waveform import Channel, UnusableRecording
from common.data_spec import SignalSpec
from common.errors import DataError

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "signals",
    "channels": [{"name": "II", "unit": "mV", "minimum": -2, "maximum": 2}],
    "sampling_hz": 100,
    "window_seconds": 1,
    "test_fraction": 0.3,
}
SITE = 'kind = "signals"\npath = "rec"\nlabels = "labels.csv"\n'
CLASSES = ["normal", "fibrillation"]


def tone(rate: float, seconds: float = 5.0, gain: float = 200.0) -> np.ndarray:
    """A slow sine of 1 mV, as stored integers."""
    time = np.arange(round(rate * seconds)) / rate
    return np.rint(gain * np.sin(2 * np.pi * 1.3 * time)).astype(np.int64)


def test_three_kinds_of_recordings_are_one_cohort(build: Build, tmp_path: Path) -> None:
    """The same signal in WFDB at 250 Hz, EDF at 200 Hz in uV and CSV at 100 Hz gives the same windows."""
    write_wfdb(tmp_path / "rec", "one", {"II": tone(250)}, form="212")
    write_edf(tmp_path / "rec" / "two.edf", {"ii": tone(200, gain=900)}, rate=200)
    rows = "\n".join(str(value / 900) for value in tone(100, gain=900))
    (tmp_path / "rec" / "three.csv").write_text(f"II\n{rows}\n")
    (tmp_path / "labels.csv").write_text(
        "record,patient_id,label\none,zz-1,normal\ntwo,zz-2,fibrillation\nthree,zz-3,normal\n"
    )
    cohort = build(SITE + "rate_hz = 100\n", SPEC, CLASSES)
    assert (cohort.patients, cohort.samples) == (3, 15)
    assert cohort.inputs.shape == (15, 100, 1)
    expected = np.sin(2 * np.pi * 1.3 * np.arange(500) / 100).reshape(5, 100) / 2
    scale = {1: 0.9, 0: 1.0}
    for patient in range(3):
        mine = cohort.patient == patient
        level = scale[int(cohort.targets[mine][0])]
        np.testing.assert_allclose(
            cohort.inputs[mine, 5:-5, 0], level * expected[:, 5:-5], atol=0.02
        )
    assert cohort.quarantine.total == 0


def test_labels_for_parts_gaps_and_strides(build: Build, tmp_path: Path) -> None:
    samples = tone(100, 10)
    samples[450] = -(1 << 15)
    write_wfdb(tmp_path / "rec", "one", {"II": samples}, rate=100)
    (tmp_path / "labels.csv").write_text(
        "record,patient_id,label,start_seconds,end_seconds\none,a,normal,0,3.5\none,a,fibrillation,4,10\n"
    )
    cohort = build(SITE, {**SPEC, "stride_seconds": 0.5}, CLASSES)
    # 0–3.5 s: 6 starts; 4–4.5 s is too short; 4.51–10 s: 9 starts.
    assert cohort.targets.tolist() == [0] * 6 + [1] * 9
    bridged = build(SITE, {**SPEC, "stride_seconds": 0.5, "max_gap_seconds": 0.1}, CLASSES)
    assert bridged.targets.tolist() == [0] * 6 + [1] * 11


def test_what_cannot_be_used_is_counted_without_names(build: Build, tmp_path: Path) -> None:
    good = {"II": tone(250)}
    write_wfdb(tmp_path / "rec", "zz-good", good)
    write_wfdb(tmp_path / "rec", "zz-nolabel", good)
    write_wfdb(tmp_path / "rec", "zz-volts", good, unit="mmol/L")
    write_wfdb(tmp_path / "rec", "zz-other", {"V1": tone(250)})
    write_wfdb(tmp_path / "rec", "zz-short", {"II": tone(250, 0.5)})
    (tmp_path / "rec" / "zz-broken.edf").write_bytes(b"0" * 300)
    (tmp_path / "rec" / "notes.pdf").write_bytes(b"%PDF")
    names = ("good", "volts", "other", "short", "broken")
    lines = "".join(f"zz-{name},zz-p-{name},normal\n" for name in names)
    (tmp_path / "labels.csv").write_text(f"record,patient_id,label\n{lines}zz-x,zz-p,\n")
    cohort = build(SITE, SPEC, CLASSES)
    assert cohort.patients == 1
    assert dict(cohort.quarantine.counts) == {
        "label row without label": 1,
        "recording: it has no channel 'II'": 1,
        "recording: it has no complete window": 1,
        "recording: it has no label": 1,
        "recording: the header is not an EDF header": 1,
        "recording: the unit of 'II' cannot be converted to mV": 1,
    }
    assert "zz-" not in cohort.quarantine.summary() + str(cohort)


def test_all_windows_of_a_patient_stay_together(build: Build, tmp_path: Path) -> None:
    """Several recordings of a patient, in a zip with one folder a patient, are on one side of the split."""
    for patient in range(12):
        for take in range(3):
            folder = tmp_path / "all" / f"zz-{patient}"
            write_wfdb(folder, f"take{take}", {"II": tone(250)})
    with zipfile.ZipFile(tmp_path / "rec.zip", "w") as archive:
        for path in sorted((tmp_path / "all").rglob("*.*")):
            archive.write(path, str(path.relative_to(tmp_path / "all")))
    lines = "".join(f"zz-{patient},{CLASSES[patient % 2]}\n" for patient in range(12))
    (tmp_path / "labels.csv").write_text(f"patient_id,label\n{lines}")
    site = SITE.replace('"rec"', '"rec.zip"') + 'patient = "<folder>"\n'
    cohort = build(site, SPEC, CLASSES)
    assert (cohort.patients, cohort.samples) == (12, 180)
    assert 0 < cohort.test_patients < 12
    for patient in range(12):
        assert len(set(cohort.targets[cohort.patient == patient])) == 1
    train, test = cohort.rows("train"), cohort.rows("test")
    assert not set(cohort.patient[train]) & set(cohort.patient[test])
    few = build(site, {**SPEC, "max_samples_per_patient": 4}, CLASSES)
    assert few.samples == 48


def test_a_column_of_the_labels_is_called_as_the_site_calls_it(
    build: Build, tmp_path: Path
) -> None:
    write_wfdb(tmp_path / "rec", "one", {"II": tone(250)})
    (tmp_path / "labels.csv").write_text("record,patient_id,label\none,zz,normal\n")
    with pytest.raises(DataError, match=r"no column 'pid'.*maps 'patient_id' to it"):
        build(SITE + 'columns = {patient_id = "pid"}\n', SPEC, CLASSES)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("record,patient_id,label\none,zz,flutter\n", "1 rows have no class: 'flutter'"),
        ("record,patient_id,label\none,zz,normal\none,zz-2,normal\n", "second patient"),
        ("record,label\none,normal\n", "no column 'patient_id'"),
        (
            "record,patient_id,label,start_seconds,end_seconds\none,zz,normal,0,3\none,zz,normal,2,4\n",
            "overlap in time",
        ),
        (
            "record,patient_id,label,start_seconds,end_seconds\none,zz,normal,0,00:03\n",
            "1 values of 'end_seconds' are no numbers",
        ),
        (
            "record,patient_id,label,split\none,zz,normal,train\ntwo,zz,normal,test\n",
            "in two splits",
        ),
    ],
)
def test_messages(build: Build, tmp_path: Path, labels: str, said: str) -> None:
    write_wfdb(tmp_path / "rec", "one", {"II": tone(250)})
    (tmp_path / "labels.csv").write_text(labels)
    with pytest.raises(DataError, match=said) as caught:
        build(SITE, SPEC, CLASSES)
    assert "zz" not in str(caught.value)


def test_text_with_times_that_miss_some(build: Build, tmp_path: Path) -> None:
    """Irregular rows find their place by their time; impossible and lost samples end a window."""
    (tmp_path / "rec").mkdir()
    rows = [f"{20 * i};{'0,5' if i != 60 else '99'};1" for i in range(250) if not 120 <= i < 130]
    (tmp_path / "rec" / "one.txt").write_text("\n".join(["ms;lead;x", *rows]))
    (tmp_path / "labels.csv").write_text("record;label\none;normal\n")
    site = SITE + 'patient = "<file>"\ntime = "ms"\ntime_unit = "milliseconds"\nseparator = ";"\n'
    site += 'decimal = ","\ncolumns = {II = "lead"}\nunits = {II = "mV"}\n'
    channel = {**SPEC["channels"][0], "valid_maximum": 20}
    cohort = build(site, {**SPEC, "channels": [channel], "sampling_hz": 50}, CLASSES)
    # 0–1.2 s, 1.22–2.4 s, 2.6–5 s: 1 + 1 + 2 whole windows of a second
    assert cohort.samples == 4
    np.testing.assert_allclose(cohort.inputs, 0.25, atol=1e-6)
    assert cohort.notes[0] == "'II': 1 samples are impossible and count as lost."


def test_resampling_does_not_alias_or_smear_gaps() -> None:
    time = np.arange(1000) / 500
    fast = np.sin(2 * np.pi * 190 * time).astype(np.float32)
    assert np.abs(resampled(Channel(fast, 500), 100, 0)[10:-10]).max() < 0.05
    slow = np.sin(2 * np.pi * 3 * time).astype(np.float32)
    slow[400:500] = np.nan
    found = resampled(Channel(slow, 500), 100, 0)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), np.arange(80, 100))
    with pytest.raises(UnusableRecording, match="rate"):
        resampled(Channel(slow, 500.0), 0.3, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"window_seconds": 0.015},
        {"channels": [*SPEC["channels"], *SPEC["channels"]]},
        {"channels": [{**SPEC["channels"][0], "minimum": 3}]},
        {"stride_seconds": 0.001},
        {"window_seconds": 1e9},
    ],
)
def test_studies_that_make_no_sense(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"whole number|twice|less than|more than"):
        SignalSpec.model_validate({**SPEC, **change})
