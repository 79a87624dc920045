"""Fused data: every patient's parts side by side, zeros and a flag where one is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.claims import use_data
from client.data.cohort import Cohort
from client.data.config import members
from client.data.fused import put_together
from client.data.identifiers import Collector
from client.data.samples import RawSamples
from client.guard.ledger import Ledger
from client.site import load_site
from common.data_spec import FusedSpec
from common.errors import BudgetError, DataError, StudyError

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "fused",
    "target": "record",
    "test_fraction": 0.0,
    "parts": {
        "ecg": {
            "kind": "signals",
            "sampling_hz": 10.0,
            "window_seconds": 0.4,
            "channels": [{"name": "I", "minimum": -10, "maximum": 10}],
        },
        "film": {"kind": "arrays", "image_size": 2, "labels": "none", "value_max": 100},
        "record": {
            "kind": "table",
            "target": "ill",
            "positive": [1],
            "features": [{"name": "age", "minimum": 0, "maximum": 100}],
        },
    },
}
SITE = """
kind = "fused"
[data.parts.record]
kind = "table"
path = "records.csv"
patient = "id"
[data.parts.film]
kind = "arrays"
path = "films.npz"
"""
ECG = """
[data.parts.ecg]
kind = "signals"
path = "ecg"
labels = "ecg.csv"
rate_hz = 10.0
"""
FLAGS = slice(0, 3)  # ecg, film, record
ECG_AT, FILM_AT = slice(3, 7), slice(7, 11)


@pytest.fixture(autouse=True)
def house(tmp_path: Path) -> Path:
    """Anna has everything, and two films; Bert no film; Carl no ECG; Dora no record."""
    (tmp_path / "records.csv").write_text("id,age,ill\nanna,50,1\nbert,75,0\ncarl,100,1\n")
    films = np.stack([np.full((2, 2), value) for value in (0, 100, 50, 75)])
    owners = np.array(["anna", "anna", "carl", "dora"])
    np.savez(tmp_path / "films.npz", images=films, patients=owners)
    (tmp_path / "ecg").mkdir()
    (tmp_path / "ecg/1.csv").write_text("I\n1\n2\n3\n4\n")
    (tmp_path / "ecg/2.csv").write_text("I\n-5\n-5\n-5\n-5\n")
    (tmp_path / "ecg.csv").write_text("record,patient_id\n1,anna\n2,bert\n")
    return tmp_path


def by_age(cohort: Cohort) -> dict[float, np.ndarray[Any, Any]]:
    """Return each patient's samples, by the last value: the scaled age."""
    ages = cohort.inputs[:, -1]
    return {float(age): cohort.inputs[ages == age] for age in np.unique(ages)}


def test_parts_lie_side_by_side(build: Build) -> None:
    cohort = build(SITE + ECG, SPEC, ["well", "ill"])
    assert cohort.inputs.shape == (4, 12)
    assert cohort.patients == 3
    found = by_age(cohort)
    anna, bert, carl = found[0.0], found[0.5], found[1.0]
    assert anna[:, FLAGS].tolist() == [[1, 1, 1]] * 2
    np.testing.assert_allclose(anna[:, ECG_AT], [[0.1, 0.2, 0.3, 0.4]] * 2, atol=1e-6)
    assert anna[:, FILM_AT].tolist() == [[-1] * 4, [1] * 4]
    assert bert[:, FLAGS].tolist() == [[1, 0, 1]]
    assert not bert[:, FILM_AT].any()
    assert bert[:, ECG_AT].any()
    assert carl[:, FLAGS].tolist() == [[0, 1, 1]]
    assert not carl[:, ECG_AT].any()
    ill = {float(age): int(y) for age, y in zip(cohort.inputs[:, -1], cohort.targets, strict=True)}
    assert ill == {0.0: 1, 0.5: 0, 1.0: 1}


def test_the_house_is_told_how_many_lack_what(build: Build) -> None:
    notes = " ".join(build(SITE + ECG, SPEC, ["well", "ill"]).notes)
    assert "Part 'film': 1 of 3 patients do not have it." in notes
    assert "Part 'film': 1 patients are not in part 'record'" in notes
    assert "dora" not in notes


def test_a_site_may_lack_a_part_and_says_so(build: Build) -> None:
    cohort = build(SITE.replace("\n", '\nabsent = ["ecg"]\n', 1), SPEC, ["well", "ill"])
    assert not cohort.inputs[:, 0].any()
    assert not cohort.inputs[:, ECG_AT].any()
    assert cohort.inputs[:, 2].all()
    with pytest.raises(StudyError, match="no part 'ecg'"):
        build(SITE, SPEC, ["well", "ill"])


def test_a_part_beside_the_target_needs_no_labels(build: Build, house: Path) -> None:
    (house / "ecg.csv").write_text("record,patient_id,label\n1,anna,ill\n2,bert,well\n")
    spec = {**SPEC, "target": "ecg"}
    whole = build(SITE + ECG, spec, ["well", "ill"])
    (house / "records.csv").write_text("id,age\nanna,50\nbert,75\n,10\n")
    cohort = build(SITE + ECG, spec, ["well", "ill"])
    np.testing.assert_array_equal(cohort.inputs, whole.inputs)
    assert cohort.quarantine.counts == {"no patient id": 1}


def test_records_beside_the_target_are_their_patients_own(build: Build, house: Path) -> None:
    variables = [{"name": "pulse", "minimum": 0, "maximum": 200}]
    stay = {"kind": "records", "target": "died", "positive": [1], "history_minutes": 60}
    stay |= {"step_minutes": 60, "variables": variables}
    (house / "pulses.csv").write_text("stay,time,pulse\n7,0,50\n8,0,150\n")
    (house / "stays.csv").write_text("stay,pid,version\n7,carl,1\n7,bert,2\n8,anna,2\n8,carl,2\n")
    text = '[data.parts.stay]\nkind = "records"\npath = "pulses.csv"\noutcomes = "stays.csv"\n'
    text += 'record = "stay"\npatient = "pid"\ntime_unit = "minutes"\nfilter = { version = 2 }\n'
    spec = {**SPEC, "parts": {"record": SPEC["parts"]["record"], "stay": stay}}
    cohort = build(SITE.partition("[data.parts.film]")[0] + text, spec, ["well", "ill"])
    found = {row[2]: (row[1], row[3]) for row in cohort.inputs.tolist()}  # by age: flag, pulse
    assert found == {0.0: (1, 0.5), 0.5: (1, -0.5), 1.0: (0, 0)}
    assert cohort.quarantine.counts == {"repeated record key": 1}


@pytest.mark.parametrize("nameless", ["film", "record"])
def test_who_is_not_named_is_not_put_to_anybody(build: Build, house: Path, nameless: str) -> None:
    text = SITE + ECG
    if nameless == "film":
        np.savez(house / "films.npz", images=np.zeros((2, 2, 2)))
        (house / "records.csv").write_text("id,age,ill\n0,50,1\n1,75,0\n")
    else:
        text = text.replace('patient = "id"\n', "")
    with pytest.raises(DataError, match=f"(?s)part '{nameless}'.*Name the patients"):
        build(text, SPEC, ["well", "ill"])


def test_of_a_patient_with_much_of_one_part_no_more_is_made_than_is_kept(
    build: Build, house: Path
) -> None:
    films = np.arange(9).reshape(9, 1, 1) * np.ones((9, 2, 2))
    np.savez(house / "films.npz", images=films, patients=np.array(["anna"] * 9))
    few = build(SITE + ECG, {**SPEC, "max_samples_per_patient": 3}, ["well", "ill"])
    anna = by_age(few)[0.0][:, FILM_AT.start]
    np.testing.assert_allclose(anna * 50 + 50, [0, 4, 8], atol=1e-5)
    raw = RawSamples(films[:, None].astype(np.float32), np.zeros(9), ["anna"] * 9)
    record = RawSamples(np.zeros((1, 1), np.float32), np.ones(1), ["anna"])
    spec = FusedSpec.model_validate({**SPEC, "max_samples_per_patient": 3})
    assert len(put_together({"film": raw, "record": record}, spec).inputs) == 3


def test_a_part_has_its_own_steps(build: Build) -> None:
    film = {**SPEC["parts"]["film"], "steps": [{"name": "crop", "size_px": 1}]}
    spec = {**SPEC, "parts": {**SPEC["parts"], "film": film}}
    cohort = build(SITE + ECG, spec, ["well", "ill"])
    assert cohort.inputs.shape == (4, 9)
    assert sorted(by_age(cohort)[0.0][:, 7].tolist()) == [-1, 1]


def test_the_target_may_lie_in_another_part(build: Build, house: Path) -> None:
    (house / "ecg.csv").write_text("record,patient_id,label\n1,anna,ill\n2,bert,well\n")
    cohort = build(SITE + ECG, {**SPEC, "target": "ecg"}, ["well", "ill"])
    found = {
        float(age): int(y) for age, y in zip(cohort.inputs[:, -1], cohort.targets, strict=True)
    }
    assert found == {0.0: 1, 0.5: 0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SITE.replace("\n", '\nabsent = ["record", "ecg"]\n', 1), "absent, and yet described"),
        (SITE + ECG + 'population = "hearts"\n', "stand beside the parts"),
        (SITE.replace('kind = "arrays"', 'kind = "aray"'), "arrays"),
        (SITE.replace("[data.parts.film]", "[data.parts.flim]") + ECG, "no part 'film'"),
    ],
)
def test_a_wrong_description_is_refused(build: Build, text: str, said: str) -> None:
    with pytest.raises(StudyError) as error:
        build(text, SPEC, ["well", "ill"])
    assert said in str(error.value)


def test_what_a_part_lacks_names_the_part(build: Build, house: Path) -> None:
    (house / "films.npz").unlink()
    with pytest.raises(DataError, match="part 'film'"):
        build(SITE + ECG, SPEC, ["well", "ill"])


def test_the_cache_sees_a_change_in_any_part(build: Build, house: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = build(SITE + ECG, SPEC, ["well", "ill"], cache=cache)
    (house / "ecg/2.csv").write_text("I\n-7\n-7\n-7\n-7\n")
    second = build(SITE + ECG, SPEC, ["well", "ill"], cache=cache)
    assert by_age(first)[0.5][0, 3] == -0.5
    np.testing.assert_allclose(by_age(second)[0.5][0, 3], -0.7, atol=1e-6)


def test_every_part_is_claimed_and_searched_for_identifiers(build: Build, house: Path) -> None:
    build(SITE + ECG, SPEC, ["well", "ill"])
    site = load_site(house)
    dataset = site.datasets["default"]
    ledger = Ledger(house / "ledger.jsonl", "house", "house")
    spec = FusedSpec.model_validate(SPEC)
    use_data(site, spec, ledger, simulated=False)
    claims = {path.name for path in house.glob(".*claim*")}
    assert len(claims) == len(members("default", dataset)) == 3
    use_data(site, spec, ledger, simulated=False)
    another = Ledger(house / "second.jsonl", "house", "house")
    with pytest.raises(BudgetError, match="Another ledger"):
        use_data(site, spec, another, simulated=False)
    found = {each.value for each in Collector().of(dataset)}
    assert {"anna", "bert", "carl", "dora"} <= found


DRUGS = """
[data.parts.drug]
kind = "molecules"
path = "drugs.csv"
patient = "id"
"""


def test_molecules_beside_the_target(build: Build, house: Path) -> None:
    pytest.importorskip("rdkit", reason="needs RDKit (pip install consilium[molecules])")
    (house / "drugs.csv").write_text("id,smiles\nanna,CO\nanna,OC\ncarl,CC.Cl\nbert,C\ndora,C\n")
    drug = {"kind": "molecules", "bits": 16, "radius": 0, "target": "none", "positive": [1]}
    spec = {**SPEC, "parts": {"record": SPEC["parts"]["record"], "drug": drug}}
    text = SITE.partition("[data.parts.film]")[0] + DRUGS
    cohort = build(text, spec, ["well", "ill"])
    anna, bert, carl = (by_age(cohort)[age] for age in (0.0, 0.5, 1.0))
    assert anna[:, 0].tolist() == [1, 1]
    assert anna[0].tolist() == anna[1].tolist(), "one compound in two spellings"
    assert anna[0, 2:18].sum() == 2, "an atom of carbon and one of oxygen"
    assert bert[0, 2:18].sum() == 1
    assert carl.tolist() == [[0, 1, *[0] * 16, 1]], "a salt is no molecule"
    assert cohort.quarantine.counts == {"salt or mixture: several molecules in one SMILES": 1}
    assert {"dora"} <= {e.value for e in Collector().of(load_site(house).datasets["default"])}


@pytest.mark.parametrize("target", ["record", "drug"])
def test_compounds_of_nobody_are_put_to_nobody(build: Build, house: Path, target: str) -> None:
    pytest.importorskip("rdkit", reason="needs RDKit (pip install consilium[molecules])")
    (house / "drugs.csv").write_text("id,smiles,ill\nanna,CO,1\nbert,C,0\n")
    drug = {"kind": "molecules", "bits": 16, "target": "ill", "positive": [1]}
    spec = {**SPEC, "parts": {"record": SPEC["parts"]["record"], "drug": drug}, "target": target}
    text = SITE.partition("[data.parts.film]")[0] + DRUGS
    with pytest.raises(DataError, match=r"(?s)part 'drug'.*Name the patients"):
        build(text.replace('"drugs.csv"\npatient = "id"', '"drugs.csv"'), spec, ["well", "ill"])
    cohort = build(text, {**spec, "target": "drug"}, ["well", "ill"])
    assert sorted(cohort.targets.tolist()) == [0, 1], "the part with the target may be molecules"
