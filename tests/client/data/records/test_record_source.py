"""Records: readings on a grid from an anchor; nothing after the window's end, or of another record, is ever seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data import tabular
from client.data.cohort import Cohort
from client.data.records.config import RecordDataset
from client.data.records.source import RecordSource
from client.data.samples import RawSamples
from common.data_spec import RecordSpec
from common.errors import DataError

Build = Callable[..., Cohort]
PULSE = {"name": "pulse", "minimum": 0, "maximum": 200}
SPEC: dict[str, Any] = {
    "kind": "records",
    "target": "died",
    "positive": [1],
    "history_minutes": 180,
    "step_minutes": 60,
    "variables": [{**PULSE, "missing_indicator": True}],
    "min_readings": 0,
}
SITE: dict[str, Any] = {
    "kind": "records",
    "record": "stay",
    "patient": "id",
    "time_unit": "minutes",
    "declared_patients": 10,
}


def load(tmp_path: Path, spec: dict[str, Any], rows: list[str], **site: Any) -> RawSamples:
    """Read wide readings and the outcomes of stays 1 (patient a) and 2 (b)."""
    (tmp_path / "r.csv").write_text("\n".join(["stay,time,pulse", *rows]))
    if not (tmp_path / "o.csv").exists():
        (tmp_path / "o.csv").write_text("stay,id,died,age\n1,a,0,50\n2,b,1,100\n")
    paths = {"path": tmp_path / "r.csv", "outcomes": tmp_path / "o.csv"}
    dataset = RecordDataset.model_validate({**SITE, **paths, **site})
    return RecordSource().load(dataset, RecordSpec.model_validate({**SPEC, **spec}), None)


def pulse(samples: RawSamples, record: int = 0) -> list[float]:
    """Return one record's pulse a step, unscaled."""
    return [round(float(v), 3) for v in samples.inputs[record, :, 0] * 100 + 100]


def with_(**changes: Any) -> dict[str, Any]:
    return {"variables": [{**PULSE, "missing_indicator": True, **changes}]}


def test_readings_of_a_step_are_combined(tmp_path: Path) -> None:
    rows = ["1,0,60", "1,59.9,80", "1,10,100", "1,120,50", "2,60,90"]
    expected = {"mean": 80, "last": 80, "minimum": 60, "maximum": 100}
    for combine, value in expected.items():
        samples = load(tmp_path, with_(combine=combine), rows)
        assert pulse(samples) == [value, 100, 50]
        assert pulse(samples, 1) == [100, 90, 100]
        assert samples.inputs[0, :, 1].tolist() == [-1, 1, -1]
    assert (list(samples.patients), samples.targets.tolist()) == (["a", "b"], [0, 1])


def test_a_reading_is_carried_forward_only_and_not_too_far(tmp_path: Path) -> None:
    rows = ["1,70,60", "2,0,80"]
    assert pulse(load(tmp_path, with_(carry_minutes=60, fill=10), rows)) == [10, 60, 60]
    assert pulse(load(tmp_path, with_(carry_minutes=60, fill=10), rows), 1) == [80, 80, 10]
    assert pulse(load(tmp_path, with_(carry_minutes=59, fill=10), rows), 1) == [80, 10, 10]


def test_nothing_outside_the_window_is_seen(tmp_path: Path) -> None:
    inside = ["1,0,60", "1,179.9,70"]
    outside = ["1,-0.1,200", "1,180,200", "1,9999,200", "7,10,200", "2,10,5"]
    spec = with_(carry_minutes=1000)
    assert pulse(load(tmp_path, spec, inside)) == pulse(load(tmp_path, spec, inside + outside))
    later = load(tmp_path, {**spec, "start_minutes": -60}, inside + outside)
    assert pulse(later) == [200, 60, 60]


def test_a_record_whose_outcome_was_known_too_early_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("stay,id,died,end\n1,a,0,239\n2,b,1,240\n3,c,1,\n")
    samples = load(tmp_path, {"lead_minutes": 60}, ["1,0,60", "2,0,60"], outcome_time="end")
    assert list(samples.patients) == ["b"]
    assert samples.quarantine.counts == {
        "no time of the outcome": 1,
        "outcome known before the window's end": 1,
    }


def test_impossible_values_units_and_words(tmp_path: Path) -> None:
    rows = ["1,0,1.5", "1,60,900", "1,120,low", "2,0,-5"]
    spec = with_(unit="Hz", maximum=2, valid_minimum=0, valid_maximum=5, fill=0)
    site = {"units": {"pulse": "Hz"}, "replace": {"pulse": {"low": 0.5}}}
    samples = load(tmp_path, spec, rows, **site)
    assert samples.inputs[0, :, 0].tolist() == [0.5, -1.0, -0.5]
    assert samples.notes == ("2 × pulse: impossible value.",)
    beats = load(tmp_path, spec, ["1,0,60", "1,60,30"], units={"pulse": "/min"})
    np.testing.assert_allclose(beats.inputs[0, :, 0], [0, -0.5, -1], atol=1e-6)


def test_long_readings_dates_and_an_anchor(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "stay,at,item,result\n"
        "1,2024-03-01T10:30:00,211,60\n1,2024-03-01T12:10:00,211.0,80\n1,2024-03-01T10:30:00,7,1\n"
        "2,2024-03-01T10:30:00,211,1\n2,2024-03-02T00:10:00,211,90\n2,never,211,90\n"
    )
    (tmp_path / "o.csv").write_text(
        "stay,id,died,admitted\n1,a,0,2024-03-01T10:00:00\n2,b,1,2024-03-02T00:00:00\n"
    )
    site = {"path": tmp_path / "l.csv", "time": "at", "time_unit": None, "anchor": "admitted"}
    site |= {"variable": "item", "value": "result", "columns": {"pulse": "211"}}
    samples = load(tmp_path, {}, [], **site)
    assert pulse(samples) == [60, 100, 80]
    assert pulse(samples, 1) == [90, 100, 100]
    assert samples.notes == ("1 × reading without a usable time.",)


def test_features_are_known_in_every_step(tmp_path: Path) -> None:
    age = {"name": "age", "minimum": 0, "maximum": 100}
    samples = load(tmp_path, {"features": [age]}, ["1,0,60", "2,0,60"])
    assert samples.inputs.shape == (2, 3, 3)
    assert samples.inputs[:, :, 2].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_a_variable_that_the_site_does_not_record(tmp_path: Path) -> None:
    other = {"name": "lactate", "minimum": 0, "maximum": 10, "missing_indicator": True}
    spec = {"variables": [PULSE, other]}
    with pytest.raises(DataError, match="no column 'lactate'"):
        load(tmp_path, spec, ["1,0,60"])
    samples = load(tmp_path, spec, ["1,0,60"], absent=["lactate"])
    assert samples.inputs[:, :, 1:].reshape(-1, 2).tolist() == [[0, 1]] * 6


def test_blocks_give_what_one_reading_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{rng.integers(1, 3)},{rng.uniform(0, 180):.3f},{rng.integers(200)}" for _ in range(99)
    ]
    for combine in ("mean", "last", "minimum", "maximum"):
        whole = load(tmp_path, with_(combine=combine), rows)
        with monkeypatch.context() as patched:
            patched.setattr(tabular.blocks, "__defaults__", (7,))
            np.testing.assert_allclose(
                load(tmp_path, with_(combine=combine), rows).inputs, whole.inputs, atol=1e-6
            )


def test_messages_name_no_patient(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No reading belongs to any of the 2 records"):
        load(tmp_path, {}, ["zz-1,0,60"])
    (tmp_path / "o.csv").write_text("stay,id,died\n1,zz-a,0\n1,zz-a,0\n")
    with pytest.raises(DataError, match="1 rows repeat a key in 'stay'"):
        load(tmp_path, {}, ["1,0,60"])
    (tmp_path / "o.csv").write_text("stay,id,died\n1,zz-a,0\n2,,1\n3,zz-c,\n")
    samples = load(tmp_path, {"min_readings": 2}, ["1,0,60"])
    assert len(samples.patients) == 0
    assert set(samples.quarantine.counts) == {
        "no patient id",
        "no target value",
        "too few readings in the window",
    }
    assert "zz" not in str(samples)


def test_eicu_vital_signs_load(build: Build, shared: Path) -> None:
    folder = shared / "eicu_demo"
    site = f"""kind = "records"
path = "{folder}/vitalAperiodic.csv.gz"
outcomes = "{folder}/patient.csv.gz"
record = "patientunitstayid"
patient = "uniquepid"
time = "observationoffset"
time_unit = "minutes"
outcome_time = "unitdischargeoffset"
join = [{{path = "{folder}/hospital.csv.gz", on = "hospitalid"}}]
filter = {{region = "West"}}
"""
    mean = {"name": "noninvasivemean", "unit": "mmHg", "minimum": 40, "maximum": 140}
    mean |= {"valid_minimum": 10, "valid_maximum": 250, "carry_minutes": 180}
    spec = {
        "kind": "records",
        "target": "hospitaldischargestatus",
        "positive": ["Expired"],
        "negative": ["Alive"],
        "history_minutes": 1440,
        "step_minutes": 60,
        "variables": [mean],
    }
    cohort = build(site, spec, ["alive", "dead"])
    assert cohort.inputs.shape[1:] == (24, 1)
    assert cohort.patients > 100
    assert cohort.patients <= cohort.samples
    assert cohort.quarantine.counts["outcome known before the window's end"] > 20
    pressure = cohort.inputs[cohort.inputs != 0] * 50 + 90
    assert 70 < pressure.mean() < 95  # mmHg
