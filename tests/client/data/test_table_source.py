"""Tables: encoding by public constants, joins, filters, and messages that name the column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data.cohort import Cohort
from common.errors import DataError, StudyError

Build = Callable[..., Cohort]
AGE = {"name": "age", "minimum": 0, "maximum": 100}
SPEC: dict[str, Any] = {
    "kind": "table",
    "target": "ill",
    "positive": [1],
    "features": [
        {**AGE, "missing_indicator": True},
        {"name": "smokes", "type": "flag", "fill": 0},
        {"name": "ward", "type": "category", "categories": ["A", "B"]},
    ],
}
SITE = 'kind = "table"\npath = "t.csv"\npatient = "id"\n'
CSV = "id,age,smokes,ward,ill\nzz-1,50,yes,A,1\nzz-2,,,B,0\nzz-3,900,no,,1.0\n"


def rows(cohort: Cohort) -> set[tuple[float, ...]]:
    """Return the encoded rows with their class, whatever their order."""
    return {(*map(float, x), float(y)) for x, y in zip(cohort.inputs, cohort.targets, strict=True)}


def test_encoding(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    cohort = build(SITE, SPEC, ["no", "yes"])
    assert rows(cohort) == {
        (0.0, -1.0, 1.0, 1.0, -1.0, 1.0),
        (0.0, 1.0, -1.0, -1.0, 1.0, 0.0),
        (1.0, -1.0, -1.0, 0.0, 0.0, 1.0),
    }
    assert cohort.inputs.dtype == np.float32


def test_local_names_words_units_and_marks(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "id;jahre;raucht;ward;ill\nq;0,5;Ja;A;sick\n", encoding="utf-16"
    )
    site = SITE + (
        'separator = ";"\ndecimal = ","\nencoding = "utf-16"\nscale = {age = 100}\noffset = {age = 1}\n'
        'columns = {age = "jahre", smokes = "raucht"}\n'
        "replace = {smokes = {Ja = true}, ill = {sick = 1}}\n"
    )
    [encoded] = rows(build(site, SPEC, None))
    assert encoded == pytest.approx((0.02, -1.0, 1.0, 1.0, -1.0, 1.0))


def test_rows_are_patients_of_their_own_whatever_their_place(build: Build, tmp_path: Path) -> None:
    lines = [f"{age},{age % 2},A,{age % 2}" for age in range(60)]
    site = 'kind = "table"\npath = "t.csv"\n'
    for text in (lines, [*lines[::-1], "99,1,A,1"]):
        (tmp_path / "t.csv").write_text("\n".join(["age,smokes,ward,ill", *text]))
        cohort = build(site, SPEC, None)
        held_out = set(map(float, cohort.inputs[cohort.rows("test"), 0])) - {np.float32(0.98)}
        assert cohort.patients == len(text)
        assert held_out == getattr(
            test_rows_are_patients_of_their_own_whatever_their_place, "s", held_out
        )
        test_rows_are_patients_of_their_own_whatever_their_place.s = held_out  # type: ignore[attr-defined]


def test_join_filter_and_split(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "id,stay,region,fold\na,1,S,train\na,2,S,train\nb,3,N,train\nc,4,S,test\n"
    )
    (tmp_path / "v.csv").write_text(
        "stay,version,age,smokes,ward,ill\n"
        + "".join(
            f"{stay},{version},{stay * 10},1,A,1\n"
            for stay in (1, 2, 3)
            for version in ("IV", "IVa")
        )
    )
    join = '[[data.join]]\npath = "v.csv"\non = "stay"\n'
    site = SITE + 'split = "fold"\nfilter = {region = "S"}\n'
    cohort = build(site + join + 'filter = {version = "IVa"}\n', SPEC, None)
    assert (cohort.patients, cohort.samples, cohort.split_id) == (1, 2, "declared")
    assert cohort.quarantine.counts == {"no target value": 1}
    with pytest.raises(DataError, match="3 rows repeat a key of stay"):
        build(site + join, SPEC, None)


@pytest.mark.parametrize(
    ("text", "site", "said"),
    [
        (CSV.replace("age", "agee"), "", "Did you mean 'agee'?"),
        (CSV.replace(",", ";"), "", "check separator"),
        (CSV.replace("yes", "zz-2"), "", "neither yes nor no"),
        (CSV.replace("50", "x").replace("900", "y"), "", "is a number"),
        (CSV + "zz-4,1,2,3,4,5,6\n", "", "same number of fields: line 5 has 7, not 5"),
        ("", "", "empty"),
        (CSV, "filter = {ward = 'C'}\n", "No row is left where 'ward' is 'C'"),
        (CSV, "missing = [1]\n", "No patient can be used"),
    ],
)
def test_messages(build: Build, tmp_path: Path, text: str, site: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    spec = {**SPEC, "negative": [0]} if "missing" not in site else {**SPEC, "positive": [7]}
    if "missing" in site:
        (tmp_path / "t.csv").write_text(text.replace(",0\n", ",1\n"))
    with pytest.raises(DataError) as caught:
        build(SITE + site, spec, None)
    assert said in str(caught.value)
    assert "zz-" not in str(caught.value)


def test_unknown_target_values(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CSV.replace(",0\n", ",maybe\n"))
    with pytest.raises(DataError, match="1 rows have no class: 'maybe'"):
        build(SITE, {**SPEC, "negative": [0]}, None)
    with pytest.raises(DataError) as caught:
        build(SITE + 'columns = {ill = "id"}\n', {**SPEC, "negative": [0]}, None)
    assert "zz-" not in str(caught.value)
    with pytest.raises(StudyError, match="two classes"):
        build(SITE, SPEC, ["a", "b", "c"])


def test_a_feature_that_the_site_does_not_record(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,smokes,ward,ill\na,1,A,1\n")
    assert rows(build(SITE + 'absent = ["age"]\n', SPEC, None)) == {(0.0, 1.0, 1.0, 1.0, -1.0, 1.0)}


HEART = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach"]
HEART += ["exang", "oldpeak", "slope", "ca", "thal", "num"]
NUMBERS = {"age": (20, 80), "trestbps": (80, 200), "thalach": (60, 210), "oldpeak": (-3, 7)}


@pytest.mark.parametrize(
    ("house", "patients", "ill"),
    [("cleveland", 303, 139), ("hungarian", 294, 106), ("switzerland", 123, 115), ("va", 200, 149)],
)
def test_heart_disease_loads(
    build: Build, shared: Path, house: str, patients: int, ill: int
) -> None:
    path = shared / "heart_disease" / f"processed.{house}.data"
    features = [{"name": n, "minimum": low, "maximum": high} for n, (low, high) in NUMBERS.items()]
    features.append({"name": "thal", "type": "category", "categories": [3, 6, 7]})
    spec = {"kind": "table", "target": "num", "positive": [1, 2, 3, 4], "features": features}
    site = f'kind = "table"\npath = "{path}"\nheader = {HEART}\nmissing = ["?"]\n'
    cohort = build(site, spec, ["no", "yes"])
    assert (cohort.patients, int(cohort.targets.sum()), cohort.quarantine.total) == (
        patients,
        ill,
        0,
    )


def test_eicu_loads_by_region(build: Build, shared: Path) -> None:
    folder = shared / "eicu_demo"
    site = f"""kind = "table"
path = "{folder}/patient.csv.gz"
patient = "uniquepid"
missing = [-1]
filter = {{region = "South"}}
columns = {{mortality = "actualhospitalmortality"}}
replace.age = {{"> 89" = 90}}
join = [
  {{path = "{folder}/hospital.csv.gz", on = "hospitalid"}},
  {{path = "{folder}/apachePatientResult.csv.gz", on = "patientunitstayid", filter = {{apacheversion = "IVa"}}}},
  {{path = "{folder}/apacheApsVar.csv.gz", on = ["patientunitstayid"]}},
]
"""
    features = [
        {**AGE, "maximum": 90},
        {"name": "ph", "minimum": 6.5, "maximum": 8, "missing_indicator": True},
    ]
    spec = {
        "kind": "table",
        "target": "mortality",
        "positive": ["EXPIRED"],
        "negative": ["ALIVE"],
        "features": features,
    }
    cohort = build(site, spec, ["alive", "dead"])
    assert cohort.patients < cohort.samples
    assert 0.02 < cohort.targets.mean() < 0.3
    assert 0.2 < (cohort.inputs[:, 2] == 1.0).mean() < 1.0  # most stays have no blood gas
