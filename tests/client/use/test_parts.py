"""New cases of several kinds of data are put together as the patients were who taught the network; and new states."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trained_runs import trained_with, write_run
from typer.testing import CliRunner

from client.data.fused import FusedSource
from client.site import Site, load_site
from client.use.datasets import Beside, describe
from client.use.inputs import reader_of
from client.use.predict import Order, predict
from common.cli import build
from common.data_spec import FusedSpec
from common.errors import ConsiliumError, DataError, StudyError
from simulations.hospitals.ct_file import Series, write_series
from simulations.hospitals.scanner import SCANNERS

CPU = torch.device("cpu")
DATA: dict[str, Any] = {
    "kind": "fused",
    "target": "record",
    "parts": {
        "ecg": {
            "kind": "signals",
            "sampling_hz": 10.0,
            "window_seconds": 0.4,
            "channels": [{"name": "I", "minimum": -10, "maximum": 10}],
        },
        "film": {
            "kind": "arrays",
            "image_size": 2,
            "labels": "none",
            "value_max": 100,
            "steps": [{"name": "crop", "size_px": 1}],
        },
        "record": {
            "kind": "table",
            "target": "ill",
            "positive": [1],
            "features": [{"name": "age", "minimum": 0, "maximum": 100}],
        },
    },
}
SPEC = FusedSpec.model_validate(DATA)
FUSED: dict[str, Any] = {
    "task": {"name": "classification", "classes": ["well", "ill"]},
    "model": {
        "name": "fusion",
        "parts": {
            "ecg": {"name": "linear"},
            "film": {"name": "linear"},
            "record": {"name": "linear"},
        },
    },
    "data": DATA,
}
SITE = """
[site]
name = "house"
[data]
kind = "fused"
declared_patients = 10
[data.parts.record]
kind = "table"
path = "old/records.csv"
patient = "id"
columns = { age = "years" }
[data.parts.film]
kind = "arrays"
path = "old/films.npz"
[data.parts.ecg]
kind = "signals"
path = "old/ecg"
labels = "old/ecg.csv"
rate_hz = 10.0
"""


def write_data(folder: Path, columns: str = "id,years,ill") -> None:
    """Anna has everything, and two films; Bert no film; Carl no ECG; Dora no record."""
    (folder / "ecg").mkdir(parents=True)
    count = columns.count(",") + 1
    rows = ["anna,50,1", "bert,75,0", "carl,100,1"]
    lines = [",".join(row.split(",")[:count]) for row in rows]
    (folder / "records.csv").write_text("\n".join([columns, *lines]) + "\n")
    films = np.stack([np.full((2, 2), value) for value in (0, 100, 50, 75)])
    owners = np.array(["anna", "anna", "carl", "dora"])
    np.savez(folder / "films.npz", images=films, patients=owners)
    (folder / "ecg/1.csv").write_text("I\n1\n2\n3\n4\n")
    (folder / "ecg/2.csv").write_text("I\n-5\n-5\n-5\n-5\n")
    (folder / "ecg.csv").write_text("record,patient_id\n1,anna\n2,bert\n")


@pytest.fixture
def house(tmp_path: Path) -> Site:
    write_data(tmp_path / "old")
    write_data(tmp_path / "new", "id,years")
    (tmp_path / "site.toml").write_text(SITE)
    return load_site(tmp_path)


def parts(folder: Path, *names: str) -> tuple[str, ...]:
    files = {"record": "records.csv", "film": "films.npz", "ecg": "ecg", "ecg.labels": "ecg.csv"}
    return tuple(f"{name}={folder / files[name]}" for name in names or files)


def test_cases_are_what_the_labelled_samples_are(house: Site) -> None:
    known = FusedSource().load(house.dataset(SPEC), SPEC, ["well", "ill"])
    beside = Beside(parts=parts(house.folder / "new"))
    for dataset in (describe(None, SPEC, house, beside), house.dataset(SPEC)):
        cases = reader_of("fused")(dataset, SPEC)
        np.testing.assert_array_equal(cases.inputs, known.inputs)
        assert [cases.names[number] for number in cases.case] == list(known.patients)
        assert any("1 patients are not in part 'record'" in note for note in cases.notes)


IMAGES: dict[str, Any] = {
    "kind": "fused",
    "target": "record",
    "parts": {
        "ct": {
            "kind": "dicom",
            "image_size": 8,
            "spacing_mm": 1.0,
            "slices": 2,
            "centre": "point",
            "labels": "none",
        },
        "glucose": {
            "kind": "series",
            "minimum": 0,
            "maximum": 400,
            "history_minutes": 20,
            "horizons_minutes": [5],
        },
        "record": DATA["parts"]["record"],
    },
}
CT_SITE = """
[site]
name = "house"
[data]
kind = "fused"
declared_patients = 10
[data.parts.record]
kind = "table"
path = "records.csv"
patient = "id"
[data.parts.glucose]
kind = "series"
path = "g.csv"
time_unit = "minutes"
[data.parts.ct]
kind = "dicom"
path = "ct"
labels = "points.csv"
"""


def test_images_and_series_of_the_same_patients(tmp_path: Path) -> None:
    spec = FusedSpec.model_validate(IMAGES)
    (tmp_path / "ct").mkdir()
    series = Series("x", "P1", "F", 60, (-12.0, -12.0, -100.0), 1.0, 2.5)
    volume = np.random.default_rng(1).normal(-500, 200, (4, 24, 24)).astype(np.float32)
    write_series(series, volume, SCANNERS[0], [tmp_path / "ct" / f"{n}.dcm" for n in range(4)])
    (tmp_path / "points.csv").write_text("patient_id,label,x_mm,y_mm,z_mm\nP1,ill,0,1,-96\n")
    readings = [f"P1,{5 * step},{100 + 7 * step}" for step in range(5)]
    (tmp_path / "g.csv").write_text("\n".join(["patient,time,value", *readings]) + "\n")
    (tmp_path / "records.csv").write_text("id,age,ill\nP1,50,1\nP2,75,0\n")
    (tmp_path / "site.toml").write_text(CT_SITE)
    site = load_site(tmp_path)
    known = FusedSource().load(site.dataset(spec), spec, ["well", "ill"])
    (tmp_path / "g.csv").write_text("\n".join(["patient,time,value", *readings[:4]]) + "\n")
    files = ("record=records.csv", "ct=ct", "ct.labels=points.csv", "glucose=g.csv")
    given = tuple(each.replace("=", f"={tmp_path}/") for each in files)
    cases = reader_of("fused")(describe(None, spec, site, Beside(parts=given)), spec)
    np.testing.assert_array_equal(cases.inputs, known.inputs)
    assert (list(cases.names), cases.inputs[:, :3].tolist()) == (
        ["P1", "P2"],
        [[1, 1, 1]] * 2 + [[0, 0, 1]],
    )
    without_points = tuple(each for each in given if "labels" not in each)
    dataset = describe(None, spec, site, Beside(parts=without_points))
    with pytest.raises(StudyError, match=r"NAME\.labels"):
        reader_of("fused")(dataset, spec)


def test_a_part_that_is_not_given_is_missing(house: Site) -> None:
    beside = Beside(parts=parts(house.folder / "new", "record", "film"))
    cases = reader_of("fused")(describe(None, SPEC, house, beside), SPEC)
    place = next(place for place in SPEC.layout if place.name == "ecg")
    assert not cases.inputs[:, [place.flag, *range(place.start, place.end)]].any()
    assert len(cases.names) == 3


def test_without_a_site_the_studys_names_hold(tmp_path: Path) -> None:
    write_data(tmp_path / "in", "patient_id,age")
    given = parts(tmp_path / "in", "record", "film")
    cases = reader_of("fused")(describe(None, SPEC, None, Beside(parts=given)), SPEC)
    assert cases.names == ["anna", "bert", "carl"]
    write_data(tmp_path / "other", "who,age")
    beside = Beside(parts=parts(tmp_path / "other", "record"), case="who")
    assert reader_of("fused")(describe(None, SPEC, None, beside), SPEC).names == cases.names


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["film=films.npz"], "no part 'record'"),
        (["record=records.csv", "flim=films.npz"], "Did you mean 'film'"),
        (["record"], "names no path"),
        (["record=nowhere.csv"], "no such file"),
        (["record.labels=records.csv"], "takes no file 'labels'"),
        (["record=records.csv", "ecg.labels=ecg.csv"], "Part 'ecg' has no path"),
        (["record=records.csv", "ecg=ecg"], "--part ecg.labels=FILE"),
    ],
)
def test_parts_that_cannot_be_meant_are_refused(
    house: Site, monkeypatch: pytest.MonkeyPatch, given: list[str], said: str
) -> None:
    monkeypatch.chdir(house.folder / "new")
    with pytest.raises(ConsiliumError) as error:
        describe(None, SPEC, house, Beside(parts=tuple(given)))
    assert said in str(error.value)


def test_a_path_and_parts_belong_to_their_own_kinds_of_data(house: Site) -> None:
    with pytest.raises(StudyError, match="in several places"):
        describe(house.folder / "new", SPEC, house, Beside())
    table = SPEC.parts["record"]
    with pytest.raises(StudyError, match="have no parts"):
        describe(None, table, None, Beside(parts=("record=x",)))
    with pytest.raises(StudyError, match="no data"):
        describe(None, table, None, Beside())


def test_a_part_that_cannot_be_read_is_named(house: Site) -> None:
    (house.folder / "new/films.npz").write_text("nothing")
    beside = Beside(parts=parts(house.folder / "new"))
    with pytest.raises(DataError, match="part 'film'"):
        reader_of("fused")(describe(None, SPEC, house, beside), SPEC)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_patients_parts_answer_together(house: Site, tmp_path: Path) -> None:
    trained = trained_with(**FUSED)
    beside = Beside(parts=parts(house.folder / "new"))
    order = Order(trained, tmp_path / "out", CPU, house, own_names=True, beside=beside)
    predict(order, None)
    found = rows_of(tmp_path / "out")
    assert [(row["case"], row["samples"]) for row in found] == [
        ("anna", "2"),
        ("bert", "1"),
        ("carl", "1"),
    ]
    samples = FusedSource().load(house.dataset(SPEC), SPEC, ["well", "ill"])
    with torch.no_grad():
        outputs = trained.network(torch.from_numpy(samples.inputs))
    chance = outputs[:2].mean(0).softmax(0)[1]
    assert float(found[0]["p_ill"]) == pytest.approx(float(chance), abs=2e-6)


def test_the_command_takes_parts(house: Site, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", **FUSED)
    flags = [flag for each in parts(house.folder / "new") for flag in ("--part", each)]
    where = ["--out", str(tmp_path / "out"), "--site", str(house.folder), "--device", "cpu"]
    done = CliRunner().invoke(build(), ["predict", str(run), *flags, *where])
    assert done.exit_code == 0, done.output
    assert "3 predictions" in done.output
    assert "anna" not in (tmp_path / "out/predictions.csv").read_text()


EPISODES: dict[str, Any] = {
    "task": {"name": "policy"},
    "model": {"name": "q-network", "hidden": [3]},
    "data": {
        "kind": "episodes",
        "decisions": 2,
        "actions": {"wait": [0], "treat": [1]},
        "features": [{"name": "pressure", "minimum": 0, "maximum": 200}],
        "reward_minimum": -1,
        "reward_maximum": 1,
    },
}


def test_every_state_is_answered_and_named_by_its_row(tmp_path: Path) -> None:
    trained = trained_with(**EPISODES)
    (tmp_path / "states.csv").write_text("who,pressure\na,50\n,60\na,150\n")
    order = Order(trained, tmp_path / "out", CPU, own_names=True, beside=Beside(case="who"))
    outcome = predict(order, tmp_path / "states.csv")
    found = rows_of(tmp_path / "out")
    assert [(row["case"], row["row"]) for row in found] == [("a", "1"), ("a", "3")]
    assert outcome.left_out.counts == {"no patient id": 1}
    states = torch.tensor([[[-0.5], [0], [0]], [[0.5], [0], [0]]])
    with torch.no_grad():
        values = trained.network(states)[:, :2, 0].clamp(-1, 1) * 1.99  # 1 + the discount of 0.99
    for row, (wait, treat) in zip(found, values.tolist(), strict=True):
        assert row["preferred"] == ("treat" if treat > wait else "wait")
        assert float(row["value_treat"]) == pytest.approx(treat, abs=1e-4)
