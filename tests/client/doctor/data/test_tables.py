"""Tables under the doctor: patients, columns, units, classes; never a value that names somebody."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from doctor_house import House, by_level

from client.doctor.data.units import judged

TABLE = 'kind = "table"\npath = "t.csv"\n'


def rows(count: int, patient: str = "P{}", age: float = 50.0) -> str:
    """A table with one row a patient, unless `patient` is the same in all."""
    lines = [
        f"{patient.format(7919 * n % 9973)},{age + n % 9},{n % 2},{n // 2 % 2}"
        for n in range(count)
    ]
    return "\n".join(["pid,age,sex,target", *lines])


def table(house: House, text: str, more: str = "") -> None:
    """Write a table and the site that has it."""
    (house.folder / "t.csv").write_text(text)
    house.write(TABLE + more, patients=40)


@pytest.mark.parametrize(
    ("more", "text", "expected"),
    [
        ("", rows(40), "no patient column"),
        ('patient = "pid"', rows(40), "every row has a patient of its own in the column 'pid'. |"),
        (
            'patient = "pid"',
            "pid,x\n" + "\n".join(f"{n},1" for n in range(30)),
            "like a row number",
        ),
        ('patient = "pid"', rows(40) + "\nP0,50,1,0", None),
        ('patient = "pid"', rows(5), None),
    ],
)
def test_a_patient_column_that_names_rows(
    house: House, more: str, text: str, expected: str | None
) -> None:
    table(house, text, more)
    amber = by_level(house.findings("patients"))["amber"]
    assert len(amber) == (expected is not None)
    assert expected is None or expected in amber[0]


def test_all_missing_columns_are_named_at_once_and_once(house: House) -> None:
    table(house, "pid,agee,target\nP1,50,1\n", 'patient = "pidd"')
    found = by_level(house.findings("columns", "units", "cohort", look=house.look("table")))
    assert [text.split(" is ")[0] for text in found["red"]] == [
        "The column 'age'",
        "The column 'sex'",
        "The column 'pidd'",
    ]
    assert "Did you mean 'agee'?" in found["red"][0]
    assert found["green"] == found["amber"] == []


def test_a_file_that_is_not_there_is_one_red_line(house: House) -> None:
    house.write(TABLE)
    found = by_level(
        house.findings("patients", "columns", "units", "cohort", look=house.look("table"))
    )
    assert len(found["red"]) == 1


def test_counts_by_class_and_split(house: House) -> None:
    table(house, rows(40), 'patient = "pid"')
    found = by_level(house.findings("columns", "units", "cohort", look=house.look("table")))
    assert found["red"] == found["amber"] == []
    assert any("40 patients with 40 samples" in text for text in found["green"])
    counted = [text for text in found["green"] if text.startswith("class ")]
    assert len(counted) == 2
    assert "samples) train" in counted[0]
    everything = "".join(found["green"])
    assert "P7919" not in everything


def test_too_few_patients_are_red_and_one_class_alone_is_not(house: House) -> None:
    """Others in the federation may have the other class."""
    text = "\n".join(
        line if n == 0 else line[:-1] + "0" for n, line in enumerate(rows(40).split("\n"))
    )
    table(house, text, 'patient = "pid"')
    found = by_level(house.findings("cohort", look=house.look("table")))
    assert found["red"] == []
    (alone,) = (text for text in found["amber"] if "of one class" in text)
    assert "others may have the rest" in alone
    house.write(TABLE + 'patient = "pid"', 40, "allow_non_private = true\nmin_patients = 39")
    found = by_level(house.findings("cohort", look=house.look("table")))
    assert len(found["red"]) == 1
    assert "policy asks for 39" in found["red"][0]


def test_unknown_labels_are_red_and_rows_without_one_are_left_out(house: House) -> None:
    table(house, rows(40) + "\nP1,50,1,maybe\nP2,50,0,", 'patient = "pid"')
    found = by_level(house.findings("cohort", look=house.look("table", negative=[0])))
    assert "no class: 'maybe'" in found["red"][0]
    table(house, rows(40) + "\nP2,50,0,", 'patient = "pid"')
    found = by_level(house.findings("cohort", look=house.look("table")))
    assert any("1 × no target value" in text for text in found["amber"])


def test_advice_on_rows_without_a_patient_is_about_rows(house: House) -> None:
    table(house, rows(40) + "\n,50,1,1", 'patient = "pid"')
    found = by_level(house.findings("cohort", look=house.look("table")))
    (line,) = (text for text in found["amber"] if "no patient id" in text)
    assert "Fill the column in" in line
    assert "Fill the column in" in (house.folder / ".consilium/quarantine-main.html").read_text()


def test_patients_in_both_splits_are_red(house: House) -> None:
    text = "pid,age,sex,target,split\nP1,50,0,0,train\nP1,51,0,1,test\nP2,52,1,1,train"
    table(house, text, 'patient = "pid"\nsplit = "split"')
    found = by_level(house.findings("cohort", look=house.look("table")))
    assert "1 patient is in two splits" in found["red"][0]


@pytest.mark.parametrize(
    ("values", "low", "high", "expected"),
    [
        ([5.0, 6.0, 7.5, 12.0], 40.0, 400.0, "scale.x = 18.0182"),  # by its unit
        ([1.62, 1.75, 1.81], 120.0, 220.0, "scale.x = 100"),
        ([12345.0, 3.0, -8.0], 40.0, 50.0, "see [data.d] scale.x"),
        ([60.0, 61.0, np.nan, 900.0], 40.0, 400.0, None),
        ([60.0] * 20, 40.0, 400.0, "right column"),
        ([np.nan], 40.0, 400.0, None),
    ],
)
def test_units(values: list[float], low: float, high: float, expected: str | None) -> None:
    found = list(judged(np.array(values), low, high, "'x'", "[data.d] scale.x", unit="mg/dL"))
    assert len(found) == (expected is not None)
    assert expected is None or expected in found[0].fix


def test_units_of_a_table_and_of_readings(house: House, tmp_path: Path) -> None:
    table(house, rows(40, age=0.5), 'patient = "pid"\nscale = { age = 0.01 }')
    found = by_level(house.findings("units", look=house.look("table")))
    assert "scale.age" in found["amber"][0]
    readings = "\n".join(f"P1,{5 * n},{4 + n % 9}" for n in range(60))
    (tmp_path / "r.csv").write_text(f"patient,time,value\n{readings}")
    house.write('kind = "series"\npath = "r.csv"\ntime_unit = "minutes"')
    found = by_level(house.findings("columns", "units", look=house.look("series")))
    assert "glucose in mmol/L" in found["amber"][0]
    house.write('kind = "series"\npath = "r.csv"\ntime_unit = "minutes"\nscale = 18.0182')
    assert by_level(house.findings("units", look=house.look("series")))["amber"] == []


def test_an_archive_of_tables_is_left_to_the_source(house: House, tmp_path: Path) -> None:
    readings = "\n".join(f"{5 * n},{100 + n % 9}" for n in range(200))
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        for number in range(8):
            archive.writestr(f"p{number}.csv", f"time,value\n{readings}")
    house.write('kind = "series"\npath = "r.zip"\npatient = "<file>"\ntime_unit = "minutes"')
    found = house.findings("patients", "columns", "units", "cohort", look=house.look("series"))
    assert by_level(found)["red"] == []
    assert "8 patients" in "".join(by_level(found)["green"])


RECORDS = """
kind = "records"
path = "readings.csv"
outcomes = "stays.csv"
record = "stay"
patient = "pid"
time_unit = "minutes"
"""


def records(
    house: House, readings: str, stays: str = "stay,pid,outcome,age", more: str = ""
) -> None:
    """Write readings and outcomes of forty stays, under some headers."""
    times = [f"{n},{60 * step},{70 + n % 9}" for n in range(40) for step in range(8)]
    (house.folder / "readings.csv").write_text("\n".join([readings, *times]))
    rows = [f"{n},P{n // 2},{('alive', 'dead')[n % 4 == 0]},60" for n in range(40)]
    (house.folder / "stays.csv").write_text("\n".join([stays, *rows]))
    house.write(RECORDS + more, patients=20)


def test_readings_and_outcomes_of_records_are_looked_at(house: House) -> None:
    records(house, "stay,time,heart_rate")
    found = by_level(house.findings("data", "columns", "cohort", look=house.look("records")))
    assert found["red"] == []
    assert "all 7 columns" in "".join(found["green"])

    records(house, "stai,minute,HR")
    found = by_level(house.findings("columns", "cohort", look=house.look("records")))
    fixes = "\n".join(found["red"])
    assert len(found["red"]) == 3
    assert 'Set [data.main] record = "YOUR COLUMN"' in fixes
    assert 'Set [data.main] time = "YOUR COLUMN"' in fixes
    assert 'Set [data.main] columns = { "heart_rate" = "YOUR COLUMN" }' in fixes

    records(
        house,
        "stay,time,value",
        stays="stay,pid,died,age",
        more='variable = "item"\nvalue = "value"',
    )
    found = by_level(house.findings("columns", look=house.look("records")))
    assert [text.split(" is ")[0] for text in found["red"]] == [
        "The column 'outcome'",
        "The column 'item'",
    ]


def test_every_path_of_a_data_set_must_be_there(house: House) -> None:
    records(house, "stay,time,heart_rate", more='join = [{ path = "wards.csv", on = "stay" }]')
    (house.folder / "stays.csv").unlink()
    found = by_level(house.findings("data"))
    assert [text.partition(" does")[0] for text in found["red"]] == [
        "data set 'main': its outcomes",
        "data set 'main': its join",
    ]


def test_a_recording_that_cannot_be_used_has_its_advice(house: House) -> None:
    (house.folder / "ecg").mkdir()
    rows = "\n".join(str(n % 3) for n in range(1000))
    for number in range(6):
        header = "II" if number else "V1"
        (house.folder / "ecg" / f"r{number}.csv").write_text(f"{header}\n{rows}\n")
    labels = "\n".join(f"r{n},P{n},{('normal', 'arrhythmia')[n % 2]}" for n in range(6))
    (house.folder / "labels.csv").write_text(f"record,patient_id,label\n{labels}\n")
    house.write('kind = "signals"\npath = "ecg"\nlabels = "labels.csv"\nrate_hz = 50')
    found = by_level(house.findings("columns", "cohort", look=house.look("signals")))
    (missing,) = (text for text in found["amber"] if "no channel" in text)
    assert "1 × recording" in missing
    assert "columns" in missing.partition("|")[2]


def test_a_slip_of_the_pen_in_the_names_of_columns_is_seen(house: House) -> None:
    text = "pid,age,sex,target\n" + "\n".join(f"P{n},{50 + n % 9},1,{n % 2}" for n in range(40))
    table(house, text, 'patient = "pid"\nunits = { agge = "a", bmi = "kg" }\nabsent = ["sexx"]\n')
    said = by_level(house.findings("columns", look=house.look("table")))["amber"]
    assert len(said) == 2
    assert "units names 'agge'" in said[0]
    assert "Did you mean 'age'?" in said[0]
    assert "Did you mean 'sex'?" in said[1]


def test_the_readings_of_a_series_have_one_name(house: House) -> None:
    (house.folder / "g.csv").write_text("patient,time,sgv\nP,0,5\n")
    house.write('kind = "series"\npath = "g.csv"\nvalue = "sgv"\nscale = { sgv = 18.0182 }\n')
    said = by_level(house.findings("columns", look=house.look("series")))["amber"]
    assert "scale = { value = … }" in said[0]
    house.write('kind = "series"\npath = "g.csv"\nvalue = "sgv"\nscale = { value = 18.0182 }\n')
    assert by_level(house.findings("columns", look=house.look("series")))["amber"] == []
