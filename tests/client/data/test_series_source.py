"""Series: windows on a grid, gaps, impossible values, and the many ways to write a time."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data.cohort import Cohort
from client.data.config import SeriesDataset
from client.data.readings import Recording
from client.data.series import unfollowed, windows
from common.data_spec import SeriesSpec
from common.errors import DataError

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "series",
    "step_minutes": 5,
    "history_minutes": 20,
    "horizons_minutes": [5, 10],
    "stride_minutes": 5,
    "max_gap_minutes": 10,
    "minimum": 0,
    "maximum": 200,
    "valid_maximum": 190,
}
SITE = 'kind = "series"\npath = "g.csv"\npatient = "id"\n'


def cut(minutes: list[float], values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return all windows and targets of one recording, unscaled."""
    parsed = SeriesSpec.model_validate(SPEC)
    recording = Recording("p", np.array(minutes, float), np.array(values, float))
    parts = list(windows(recording, parsed)) or [(np.zeros((0, 4)), np.zeros((0, 2)))]
    found = [np.concatenate([part[side] for part in parts]) for side in (0, 1)]
    return (found[0] + 1) * 100, (found[1] + 1) * 100


def test_windows_and_targets() -> None:
    inputs, targets = cut([5 * i for i in range(7)], [10 * i for i in range(7)])
    np.testing.assert_allclose(inputs, [[0, 10, 20, 30], [10, 20, 30, 40]], atol=1e-4)
    np.testing.assert_allclose(targets, [[40, 50], [50, 60]], atol=1e-4)


def test_a_short_gap_is_bridged_inside_a_window_but_is_no_target() -> None:
    inputs, _ = cut([0, 5, 15, 20, 25], [0, 10, 30, 40, 50])
    np.testing.assert_allclose(inputs, [[0, 10, 20, 30]], atol=1e-4)
    assert len(cut([0, 5, 10, 15, 25, 30], [1, 1, 1, 1, 1, 1])[0]) == 0


def test_a_long_gap_ends_a_window() -> None:
    assert len(cut([0, 5, 20, 25, 30, 35], [1] * 6)[0]) == 0


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 190)), max_size=60))
def test_no_window_sees_its_future(readings: list[tuple[int, int]]) -> None:
    """Changing every reading after a window's end leaves the window as it is."""
    readings = sorted(dict(readings).items())
    minutes = [5.0 * step for step, _ in readings]
    before, _ = cut(minutes, [float(value) for _, value in readings])
    if len(before):
        end = before[0]
        for last in range(len(readings)):
            changed = [float(v) if i <= last else 100.0 for i, (_, v) in enumerate(readings)]
            after, _ = cut(minutes, changed)
            if np.allclose(after[0], end):
                break
        assert np.isclose(before[0][-1], readings[last][1], atol=1e-3)


def stamps(minutes: list[int]) -> list[str]:
    """Write minutes after a midnight as ISO times."""
    return [f"2024-01-{1 + m // 1440:02d} {m // 60 % 24:02d}:{m % 60:02d}:00" for m in minutes]


def table(rows: list[tuple[str, str, str]], head: str = "id,time,value") -> str:
    """Write a long table."""
    return "\n".join([head, *(",".join(row) for row in rows)])


def test_patients_gaps_and_impossible_values(build: Build, tmp_path: Path) -> None:
    times = stamps([5 * i for i in range(20)])
    rows = [(name, time, str(50 + i)) for name in ("zz-a", "zz-b") for i, time in enumerate(times)]
    rows += [("zz-c", times[0], "100"), ("", times[0], "1"), ("zz-a", "never", "1")]
    rows += [("zz-a", times[1], "900"), ("zz-b", times[2], "Low")]
    (tmp_path / "g.csv").write_text(table(rows))
    cohort = build(SITE, SPEC)
    assert (cohort.patients, cohort.samples) == (2, 30)
    assert cohort.inputs.shape == (30, 4, 1)
    assert cohort.targets.shape == (30, 2)
    assert dict(cohort.quarantine.counts) == {
        "impossible value": 1,
        "no complete window with its targets": 1,
        "reading without a usable time": 1,
        "reading without a value": 1,
        "reading without patient id": 1,
    }
    assert "zz-" not in str(cohort.quarantine.details)


@pytest.mark.parametrize(
    ("written", "site"),
    [
        ("05.03.2024 {h:02d}:{m:02d}", 'time_format = "%d.%m.%Y %H:%M"\n'),
        ("2024-03-05T{h:02d}:{m:02d}:00+02:00", ""),
        ("03/05/2024 {h:02d}:{m:02d}", ""),
        ("{minutes}", 'time_unit = "minutes"\n'),
    ],
)
def test_times(build: Build, tmp_path: Path, written: str, site: str) -> None:
    rows = [
        ("a", written.format(h=i // 12, m=i % 12 * 5, minutes=5 * i), f"{i / 10}")
        for i in range(20)
    ]
    (tmp_path / "g.csv").write_text(table(rows))
    cohort = build(SITE + site + "scale = 18.0\n", SPEC)
    assert cohort.samples == 15
    assert float(cohort.inputs.max() + 1) * 100 == pytest.approx(1.7 * 18, abs=0.01)


def test_plain_numbers_need_a_unit(build: Build, tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(table([("a", "1440", "1")]))
    with pytest.raises(DataError, match="Set time_unit"):
        build(SITE, SPEC)


def test_a_folder_with_one_file_a_patient(build: Build, tmp_path: Path) -> None:
    lines = [("", time, "5") for time in stamps([5 * i for i in range(10)])]
    archive = tmp_path / "g" / "more.zip"
    (tmp_path / "g" / "deep").mkdir(parents=True)
    for name in ("one.csv", "deep/two.csv"):
        (tmp_path / "g" / name).write_text(table(lines))
    (tmp_path / "g" / "metadata.csv").write_text("name,age\na,1\n")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("three.csv", table(lines))
        file.writestr("__MACOSX/._three.csv", b"\0\xff")
    site = 'kind = "series"\npath = "g"\npatient = "<file>"\n'
    cohort = build(site, SPEC)
    assert cohort.patients == 3
    assert dict(cohort.quarantine.counts) == {"file: There is no column 'time'": 1}
    with pytest.raises(DataError, match="Did you mean 'value'"):
        build(site + 'value = "valeu"\n', SPEC)


GLUCOSE = {
    "AZT1D": "*/Subject [1-3].csv",
    "Bris-T1D_Open": "*/P0[1-3].csv",
    "HUPA-UCM": "*/HUPA000[1-6]P.csv",
    "T1D-UOM": "*/UoMGlucose230*.csv",
    "PhysioCGM": "*/c1s0[1-3].csv",
}


@pytest.mark.parametrize("study", list(GLUCOSE))
def test_glucose_studies_load(build: Build, shared: Path, tmp_path: Path, study: str) -> None:
    source = shared / "glucose" / study / f"{study}-from-Glucose-ML.zip"
    site = f'kind = "series"\npath = "{source}"\npatient = "<file>"\ntime = "timestamp"\n'
    site += 'value = "glucose_value_mg_dl"\nfiles = "' + GLUCOSE[study] + '"\n'
    spec = {
        **SPEC,
        "history_minutes": 120,
        "horizons_minutes": [30, 60],
        "minimum": 40,
        "maximum": 400,
        "valid_minimum": 20,
        "valid_maximum": 600,
        "max_samples_per_patient": 50,
        "max_gap_minutes": 30,
    }
    cohort = build(site, spec)
    assert cohort.patients >= 3
    assert cohort.samples == 50 * cohort.patients
    persistence = (cohort.inputs[:, -1, 0] - cohort.targets[:, 0]) * 180
    assert 10 < float(np.sqrt((persistence**2).mean())) < 40  # mg/dL, 30 minutes ahead


def test_windows_that_nothing_follows_are_read_at_the_stride(tmp_path: Path) -> None:
    rows = [f"a,{5 * step},{100 + step}" for step in range(8)] + ["b,0,99"]
    (tmp_path / "g.csv").write_text("\n".join(["id,time,value", *rows]))
    dataset = SeriesDataset(
        kind="series",
        path=tmp_path / "g.csv",
        patient="id",
        time_unit="minutes",
        declared_patients=1,
    )
    found = unfollowed(dataset, SeriesSpec.model_validate({**SPEC, "stride_minutes": 10}))
    assert found.patients == ["a", "a", "a"]
    np.testing.assert_allclose(found.inputs[:, -1, 0] * 100 + 100, [103, 105, 107], atol=1e-4)
    assert found.quarantine.counts == {"no complete window": 1}
