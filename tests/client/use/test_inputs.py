"""New cases are prepared exactly as the samples that the network learned from, and need no labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from waveform_files import write_wfdb

from client.data.config import DatasetConfig
from client.data.samples import RawSamples
from client.site import Site, load_site
from client.use.datasets import Beside, describe
from client.use.inputs import reader_of
from common import plugins
from common.data_spec import DataSpec
from common.errors import DataError, StudyError
from simulations.hospitals.ct_file import Series, write_series
from simulations.hospitals.scanner import SCANNERS

SPECS: Any = TypeAdapter(DataSpec)
SITES: Any = TypeAdapter(DatasetConfig)
BOTH = ["no", "yes"]


def labelled(spec: Any, **dataset: Any) -> RawSamples:
    """Read data as for training."""
    content = {"kind": spec.kind, "declared_patients": 1, **dataset}
    found: RawSamples = plugins.load("sources", spec.kind)().load(
        SITES.validate_python(content), spec, BOTH
    )
    return found


def test_rows_of_a_table(tmp_path: Path) -> None:
    spec = SPECS.validate_python(
        {
            "kind": "table",
            "target": "ill",
            "positive": [1],
            "features": [
                {"name": "age", "minimum": 0, "maximum": 100, "required": True},
                {"name": "smokes", "type": "flag"},
            ],
        }
    )
    (tmp_path / "old.csv").write_text("id,age,smokes,ill\na,50,yes,1\nb,,no,0\nc,75,,1\n")
    (tmp_path / "new.csv").write_text("smokes,age,id\nyes,50,a\nno,,b\n,75,c\n")
    known = labelled(spec, path=tmp_path / "old.csv", patient="id")
    found = describe(tmp_path / "new.csv", spec, None, Beside(case="id"))
    cases = reader_of("table")(found, spec)
    np.testing.assert_array_equal(cases.inputs, known.inputs)
    assert cases.names == ["a", "c"]
    assert cases.about == {"row": [1, 3]}
    assert cases.quarantine.counts == {"no age": 1}


def test_series_get_a_window_at_every_reading_also_at_the_last(tmp_path: Path) -> None:
    spec = SPECS.validate_python(
        {
            "kind": "series",
            "minimum": 0,
            "maximum": 400,
            "history_minutes": 20,
            "horizons_minutes": [10],
            "stride_minutes": 5,
        }
    )
    rows = [f"a,{5 * step},{100 + 7 * step % 50}" for step in range(12)]
    (tmp_path / "r.csv").write_text("\n".join(["patient,time,value", *rows, "b,0,99"]))
    site = {"path": tmp_path / "r.csv", "time_unit": "minutes"}
    known = labelled(spec, **site)
    cases = reader_of("series")(
        SITES.validate_python({"kind": "series", "declared_patients": 1, **site}), spec
    )
    assert cases.names == ["a"], "of b there is no complete window"
    assert cases.about["time"] == [str(minute) for minute in range(15, 60, 5)]
    np.testing.assert_array_equal(cases.inputs[: len(known.inputs)], known.inputs)
    assert len(cases.inputs) == len(known.inputs) + 2, "those that nothing follows"
    last = [(100 + 7 * step % 50) / 200 - 1 for step in range(8, 12)]
    np.testing.assert_allclose(cases.inputs[-1, :, 0], last, atol=1e-6)


def test_forecasts_are_told_apart_by_times_since_1970(tmp_path: Path) -> None:
    spec = SPECS.validate_python(
        {"kind": "series", "minimum": 0, "maximum": 400, "history_minutes": 10}
    )
    seconds = [1_679_705_102 + 300 * step for step in range(4)]
    rows = "\n".join(f"a,{second},100" for second in seconds)
    (tmp_path / "r.csv").write_text(f"patient,time,value\n{rows}")
    site = {"kind": "series", "declared_patients": 1, "path": tmp_path / "r.csv"}
    cases = reader_of("series")(SITES.validate_python({**site, "time_unit": "seconds"}), spec)
    assert cases.about["time"] == [str(second) for second in seconds[1:]]


def test_recordings_of_signals(tmp_path: Path) -> None:
    spec = SPECS.validate_python(
        {
            "kind": "signals",
            "sampling_hz": 50,
            "window_seconds": 1,
            "channels": [{"name": "I", "unit": "mV", "minimum": -1, "maximum": 1}],
        }
    )
    random = np.random.default_rng(1)
    for name in ("one", "two"):
        write_wfdb(tmp_path / "in", name, {"I": random.integers(-150, 150, 200)}, rate=50)
    (tmp_path / "l.csv").write_text("record,patient_id,label\none,p,yes\ntwo,q,no\n")
    known = labelled(spec, path=tmp_path / "in", labels=tmp_path / "l.csv")
    cases = reader_of("signals")(describe(tmp_path / "in", spec, None, Beside()), spec)
    np.testing.assert_array_equal(cases.inputs, known.inputs)
    assert (cases.names, cases.case.tolist()) == (["one", "two"], [0] * 4 + [1] * 4)


def test_records_come_with_the_sites_description(tmp_path: Path) -> None:
    spec = SPECS.validate_python(
        {
            "kind": "records",
            "target": "died",
            "positive": [1],
            "history_minutes": 120,
            "variables": [{"name": "pulse", "minimum": 0, "maximum": 200}],
            "features": [{"name": "age", "minimum": 0, "maximum": 100}],
        }
    )
    (tmp_path / "r.csv").write_text("stay,time,pulse\n1,0,60\n1,70,90\n2,30,120\n")
    (tmp_path / "old.csv").write_text("stay,id,died,age\n1,a,0,50\n2,b,1,80\n")
    (tmp_path / "new.csv").write_text("stay,age\n1,50\n2,80\n2,81\n")
    (tmp_path / "site.toml").write_text(
        '[site]\nname = "h"\n[data]\nkind = "records"\npath = "r.csv"\noutcomes = "old.csv"\n'
        'record = "stay"\npatient = "id"\ntime_unit = "minutes"\ndeclared_patients = 2\n'
    )
    site: Site = load_site(tmp_path)
    beside = Beside(records=tmp_path / "new.csv")
    cases = reader_of("records")(describe(tmp_path / "r.csv", spec, site, beside), spec)
    content = site.datasets["default"].model_dump(exclude={"kind"})
    known = labelled(spec, **content)
    np.testing.assert_array_equal(cases.inputs, known.inputs)
    assert (cases.names, cases.quarantine.total) == (["1", "2"], 1)
    with pytest.raises(StudyError, match="without a description"):
        describe(tmp_path / "r.csv", spec, None, beside)


def test_dicom_images_round_points(tmp_path: Path) -> None:
    spec = SPECS.validate_python(
        {"kind": "dicom", "image_size": 8, "spacing_mm": 1.0, "centre": "point", "slices": 2}
    )
    series = Series("x", "P1", "F", 60, (-12.0, -12.0, -100.0), 1.0, 2.5)
    volume = np.random.default_rng(1).normal(-500, 200, (4, 24, 24)).astype(np.float32)
    folder = tmp_path / "in"
    folder.mkdir()
    write_series(series, volume, SCANNERS[0], [folder / f"{n}.dcm" for n in range(4)])
    (tmp_path / "l.csv").write_text("patient_id,label,x_mm,y_mm,z_mm\nP1,yes,0,1,-96\n")
    (tmp_path / "p.csv").write_text("patient_id,x_mm,y_mm,z_mm\nP1,0,1,-96\n")
    known = labelled(spec, path=folder, labels=tmp_path / "l.csv")
    beside = Beside(points=tmp_path / "p.csv")
    cases = reader_of("dicom")(describe(folder, spec, None, beside), spec)
    np.testing.assert_array_equal(cases.inputs, known.inputs)
    assert len(cases.cuts) == len(cases.inputs) == 2
    with pytest.raises(StudyError, match="--points"):
        reader_of("dicom")(describe(folder, spec, None, Beside()), spec)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    spec = SPECS.validate_python({"kind": "arrays", "image_size": 4})
    with pytest.raises(DataError, match="no such file"):
        describe(tmp_path / "none.npz", spec, None, Beside())
    with pytest.raises(StudyError, match="source 'odd'"):
        reader_of("odd")
