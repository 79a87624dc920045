"""Subgroups of a site's patients: from tables, joined tables, labels and DICOM headers, through the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from pydicom import FileDataset

from client.data.cohort import Cohort
from client.data.config_base import TextFormat
from client.data.prepare import prepare
from client.data.subgroups.numbering import group_numbers
from client.site import load_site
from common.data_spec import DataSpec
from common.subgroups import Subgroup

Read = Callable[..., Cohort]
SEX, AGE = Subgroup.model_validate("sex"), Subgroup(name="age", bands=(40, 60))
TABLE = {
    "kind": "table",
    "target": "y",
    "positive": [1],
    "features": [{"name": "x", "minimum": 0, "maximum": 10}],
}
IMAGES = {"kind": "dicom", "image_size": 8, "window_centre": 0, "window_width": 4000}
PIXELS = np.zeros((8, 8), np.uint16)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a site.toml around a data set and prepare its cohort with subgroups."""

    def run(
        data: str, spec: dict[str, Any], *subgroups: Subgroup, cache: Path | None = None
    ) -> Cohort:
        text = f'[site]\nname = "house"\n[data]\ndeclared_patients = 10\n{data}'
        (tmp_path / "site.toml").write_text(text)
        parsed: DataSpec = TypeAdapter(DataSpec).validate_python(spec)
        classes = None if spec["kind"] == "series" else ["no", "yes"]
        return prepare(load_site(tmp_path), parsed, classes, b"secret", cache, subgroups)

    return run


def by_input(cohort: Cohort) -> list[list[int]]:
    """Each patient's groups, patients in the order of their first input."""
    assert cohort.groups is not None
    _, first = np.unique(cohort.patient, return_index=True)
    order = np.argsort(cohort.inputs[first].reshape(len(first), -1)[:, 0])
    return cohort.groups[order].tolist()


def test_bands_and_words_become_numbers() -> None:
    text = TextFormat(replace={"sex": {"weiblich": "F"}}, missing=("-9",), scale={"age": 1 / 12})
    words = pd.Series(["m", "weiblich", "Female", "", "x", "-9"])
    assert group_numbers(words, SEX, text).tolist() == [1, 0, 0, -1, -1, -1]
    months = pd.Series(["479", "480", "720", "-9", "old"])
    assert group_numbers(months, AGE, text).tolist() == [0, 1, 2, -1, -1]
    coded = Subgroup(name="sex", groups={"female": (0,), "male": (1,)})
    assert group_numbers(pd.Series(["1.0", "0"]), coded, TextFormat()).tolist() == [1, 0]


@pytest.mark.parametrize("patient", ['patient = "id"\n', ""])
def test_a_table_knows_its_patients(read: Read, tmp_path: Path, patient: str) -> None:
    (tmp_path / "t.csv").write_text("id,x,y,g,years\na,1,0,F,30\nb,2,1,M,\nc,3,1,,70\n")
    site = f'kind = "table"\npath = "t.csv"\n{patient}columns = {{sex = "g", age = "years"}}\n'
    found = read(site, TABLE, SEX, AGE)
    assert by_input(found) == [[0, 0], [1, -1], [-1, 2]]
    assert read(site, TABLE).groups is None


def test_the_first_known_value_counts(read: Read, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x,y,sex\na,1,0,\na,2,1,F\na,3,0,M\n")
    found = read('kind = "table"\npath = "t.csv"\npatient = "id"\n', TABLE, SEX)
    assert by_input(found) == [[0]]


def test_a_column_that_is_not_there_is_said_and_nobody_is_in_a_group(
    read: Read, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("id,x,y,sex\na,1,0,F\nb,2,1,M\n")
    found = read('kind = "table"\npath = "t.csv"\npatient = "id"\n', TABLE, SEX, AGE)
    assert by_input(found) == [[0, -1], [1, -1]]
    assert any("no column 'age'" in note for note in found.notes)


def test_bands_are_in_the_studys_unit(read: Read, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x,y,age\na,1,0,360\nb,2,1,600\n")
    site = 'kind = "table"\npath = "t.csv"\npatient = "id"\nunits = {age = "mo"}\n'
    assert by_input(read(site, TABLE, AGE)) == [[0], [1]], "age has years, where nothing is said"
    months = {"name": "age", "minimum": 0, "maximum": 900, "unit": "mo"}
    spec = {**TABLE, "features": [*TABLE["features"], months]}
    assert by_input(read(site, spec, AGE)) == [[2], [2]], "bands have the unit of the input"


def test_words_that_are_in_no_group_are_said(read: Read, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x,y,sex,age\na,1,0,0,50\nb,2,1,1,60\n")
    found = read('kind = "table"\npath = "t.csv"\npatient = "id"\n', TABLE, SEX, AGE)
    said = [note for note in found.notes if "No value of" in note]
    assert len(said) == 1
    assert "'replace.sex'" in said[0]


def test_rows_that_the_site_leaves_out_tell_nothing(read: Read, tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("id,who,y,sex,use\n1,a,0,M,no\n2,a,0,F,yes\n3,b,1,M,yes\n")
    (tmp_path / "r.csv").write_text("id,t,v\n1,1,1\n2,1,2\n3,1,3\n")
    site = (
        'kind = "records"\npath = "r.csv"\noutcomes = "o.csv"\nrecord = "id"\npatient = "who"\n'
        'time = "t"\ntime_unit = "minutes"\nfilter = { use = ["yes"] }\n'
    )
    spec = {
        "kind": "records",
        "variables": [{"name": "v", "minimum": 0, "maximum": 10}],
        "history_minutes": 60,
        "target": "y",
        "positive": [1],
    }
    assert by_input(read(site, spec, SEX)) == [[0], [1]]


def test_a_part_of_fused_data_has_its_own_words(read: Read, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,x,y,sex,age\na,1,0,w,"30,5"\nb,2,1,m,"61,0"\n')
    site = (
        'kind = "fused"\n[data.parts.record]\nkind = "table"\npath = "t.csv"\npatient = "id"\n'
        'decimal = ","\nreplace.sex = { w = "F" }\n'
        '[data.parts.more]\nkind = "table"\npath = "t.csv"\npatient = "id"\n'
    )
    spec = {"kind": "fused", "target": "record", "parts": {"record": TABLE, "more": TABLE}}
    assert sorted(by_input(read(site, spec, SEX, AGE))) == [[0, 0], [1, 2]]


def test_the_cache_keeps_the_groups_and_other_groups_are_another_entry(
    read: Read, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("id,x,y,sex\na,1,0,F\nb,2,1,M\n")
    site, cache = 'kind = "table"\npath = "t.csv"\npatient = "id"\n', tmp_path / "cache"
    first, again = (read(site, TABLE, SEX, cache=cache) for _ in range(2))
    assert by_input(first) == by_input(again) == [[0], [1]]
    assert read(site, TABLE, cache=cache).groups is None
    assert by_input(read(site, TABLE, AGE, cache=cache)) == [[-1], [-1]]


def test_series_look_into_the_joined_table(read: Read, tmp_path: Path) -> None:
    rows = [f"{p},{5 * t},{100 + 10 * p}" for p in (1, 2) for t in range(10)]
    (tmp_path / "g.csv").write_text("id,time,value\n" + "\n".join(rows))
    (tmp_path / "who.csv").write_text("id,sex\n1,F\n2,M\n")
    site = (
        'kind = "series"\npath = "g.csv"\npatient = "id"\ntime_unit = "minutes"\n'
        '[[data.join]]\npath = "who.csv"\non = "id"\n'
    )
    spec = {
        "kind": "series",
        "history_minutes": 20,
        "horizons_minutes": [5],
        "minimum": 0,
        "maximum": 200,
    }
    assert by_input(read(site, spec, SEX)) == [[0], [1]]


def test_dicom_headers_tell_sex_and_age(
    read: Read, tmp_path: Path, write_ct: Callable[..., FileDataset]
) -> None:
    (tmp_path / "l.csv").write_text("patient_id,label\na,no\nb,yes\nc,no\n")
    about: list[dict[str, Any]] = [
        {"PatientSex": "F", "PatientAge": "035Y"},
        {"PatientSex": "M", "PatientBirthDate": "19500102", "StudyDate": "20200101"},
        {"PatientSex": "O", "PatientAge": "???"},
    ]
    for number, (name, header) in enumerate(zip("abc", about, strict=True)):
        write_ct(tmp_path / "d" / f"{name}.dcm", PIXELS + 30 * number, name, **header)
    site = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
    assert by_input(read(site, IMAGES, SEX, AGE)) == [[0, 0], [1, 2], [-1, -1]]
    marks = site + 'decimal = ","\nthousands = "."\nunits = { age = "mo" }\n'
    assert by_input(read(marks, IMAGES, AGE)) == [[0], [2], [-1]], "those of tables, not of headers"
    (tmp_path / "l.csv").write_text("patient_id,label,sex\na,no,M\nb,yes,M\nc,no,F\n")
    assert by_input(read(site, IMAGES, SEX)) == [[1], [1], [0]], "the table comes before the files"
