"""A target that is a number, in tables and records: read in the study's unit, cut to its public range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.data.cohort import Cohort
from common.errors import DataError

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "table",
    "target": "weight",
    "value": {"unit": "kg", "minimum": 0, "maximum": 200},
    "features": [{"name": "age", "minimum": 0, "maximum": 100}],
}
SITE = 'kind = "table"\npath = "t.csv"\npatient = "id"\n'


def by_age(cohort: Cohort) -> dict[float, float]:
    pairs = zip(cohort.inputs[:, 0], cohort.targets[:, 0], strict=True)
    return {round(float(age) * 50 + 50): float(value) for age, value in pairs}


def test_values_are_scaled_cut_and_left_out(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "id,age,weight\na,10,100\nb,20,150\nc,30,900\nd,40,\ne,50,heavy\n"
    )
    cohort = build(SITE, SPEC)
    assert cohort.targets.shape == (3, 1)
    assert cohort.targets.dtype.name == "float32"
    assert by_age(cohort) == {10: 0.0, 20: 0.5, 30: 1.0}
    assert cohort.quarantine.counts == {
        "no target value": 1,
        "no target value that is a number": 1,
    }


def test_the_sites_unit_is_converted_or_refused(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,age,weight\na,10,50000\nb,20,150000\n")
    assert by_age(build(SITE + 'units = { weight = "g" }\n', SPEC)) == {10: -0.5, 20: 0.5}
    with pytest.raises(DataError, match="mmHg"):
        build(SITE + 'units = { weight = "mmHg" }\n', SPEC)
    doubted = build(SITE, SPEC).notes
    assert "'weight': 2 values are outside 0 to 200: check the unit." in doubted


def test_records_have_such_targets_too(build: Build, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("stay,time,pulse\n1,0,60\n2,0,80\n3,0,70\n")
    (tmp_path / "o.csv").write_text("stay,id,age,weight\n1,a,10,50\n2,b,20,150\n3,c,30,?\n")
    site = 'kind = "records"\npath = "r.csv"\noutcomes = "o.csv"\nrecord = "stay"\npatient = "id"\n'
    pulse = {"name": "pulse", "minimum": 0, "maximum": 200}
    spec = {**SPEC, "kind": "records", "variables": [pulse], "history_minutes": 60}
    cohort = build(site + 'time_unit = "minutes"\n', spec)
    assert sorted(cohort.targets[:, 0].tolist()) == [-0.5, 0.5]
    assert cohort.quarantine.counts == {"no target value that is a number": 1}
