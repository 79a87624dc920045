"""Units of every kind of data under the doctor, and one fault said once."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from doctor_house import House, by_level

from client.doctor.data import notes

RECORDS = """
kind = "records"
path = "readings.csv"
outcomes = "stays.csv"
record = "stay"
patient = "pid"
time_unit = "minutes"
"""


def stays(house: House, age: float = 60.0) -> None:
    """Forty stays with their outcome."""
    rows = [f"{n},P{n // 2},{('alive', 'dead')[n % 4 == 0]},{age + n % 3}" for n in range(40)]
    (house.folder / "stays.csv").write_text("\n".join(["stay,pid,outcome,age", *rows]))


@pytest.mark.parametrize("long", [False, True])
def test_records_are_looked_at_wide_and_long(house: House, long: bool) -> None:
    """Long readings lie sorted by variable: the wrong one may come last."""
    stays(house)
    if long:
        first = [f"{n % 40},{n},other,1" for n in range(60_000)]
        rows = [f"{n % 40},{n},heart_rate,{1.1 + n % 9 / 10}" for n in range(400)]
        text = "\n".join(["stay,time,item,value", *first, *rows])
        more = 'variable = "item"\nvalue = "value"\n'
    else:
        rows = [f"{n % 40},{n},{1.1 + n % 9 / 10}" for n in range(400)]
        text, more = "\n".join(["stay,time,heart_rate", *rows]), ""
    (house.folder / "readings.csv").write_text(text)
    house.write(RECORDS + more, patients=20)
    (wrong,) = by_level(house.findings("units", look=house.look("records")))["amber"]
    assert wrong.startswith("'heart_rate': 100%")
    assert "[data.main] scale.heart_rate" in wrong
    house.write(RECORDS + more + "scale = { heart_rate = 60 }", patients=20)
    found = by_level(house.findings("units", look=house.look("records")))
    assert found["amber"] == []
    assert found["green"] == ["the numbers lie in the study's ranges | "]


def test_numbers_of_the_outcomes_are_looked_at(house: House) -> None:
    stays(house, age=6000.0)
    rows = [f"{n % 40},{n},{70 + n % 9}" for n in range(400)]
    (house.folder / "readings.csv").write_text("\n".join(["stay,time,heart_rate", *rows]))
    house.write(RECORDS, patients=20)
    (wrong,) = by_level(house.findings("units", look=house.look("records")))["amber"]
    assert wrong.startswith("'age': 100%")


def signals(house: House, height: float, more: str = "") -> None:
    """Twelve ECGs as text, of some height."""
    (house.folder / "ecg").mkdir(exist_ok=True)
    wave = np.sin(np.arange(1000) / 7) * height
    text = "II\n" + "\n".join(f"{value:.4f}" for value in wave)
    for number in range(12):
        (house.folder / "ecg" / f"r{number}.csv").write_text(text)
    labels = "\n".join(f"r{n},P{n},{('normal', 'arrhythmia')[n % 2]}" for n in range(12))
    (house.folder / "labels.csv").write_text(f"record,patient_id,label\n{labels}\n")
    house.write(
        f'kind = "signals"\npath = "ecg"\nlabels = "labels.csv"\nrate_hz = 50\n{more}', patients=12
    )


def test_signals_are_looked_at(house: House) -> None:
    signals(house, 1.0)
    assert by_level(house.findings("units", look=house.look("signals")))["amber"] == []
    signals(house, 900.0)
    (wrong,) = by_level(house.findings("units", look=house.look("signals")))["amber"]
    assert wrong.startswith("'II': ")
    assert "scale.II = 0.001" in wrong
    signals(house, 900.0, 'units = { II = "uV" }')
    assert by_level(house.findings("units", look=house.look("signals")))["amber"] == []


def test_readings_in_many_files_are_looked_at(house: House) -> None:
    readings = "\n".join(f"{5 * n},{4 + n % 9}" for n in range(60))
    with zipfile.ZipFile(house.folder / "r.zip", "w") as archive:
        archive.writestr("README.md", "about")
        for number in range(20):
            archive.writestr(f"p{number}.csv", f"time,value\n{readings}")
    house.write('kind = "series"\npath = "r.zip"\npatient = "<file>"\ntime_unit = "minutes"')
    (wrong,) = by_level(house.findings("units", look=house.look("series")))["amber"]
    assert "glucose in mmol/L" in wrong


def test_where_nothing_could_be_looked_at_nothing_is_green(house: House) -> None:
    with zipfile.ZipFile(house.folder / "r.zip", "w") as archive:
        archive.writestr("p.csv", "when,what\n1,2\n")
    house.write('kind = "series"\npath = "r.zip"\npatient = "<file>"\ntime_unit = "minutes"')
    assert house.findings("units", look=house.look("series")) == []


FUSED = """
kind = "fused"
[data.main.parts.record]
kind = "table"
path = "t.csv"
patient = "pid"
[data.main.parts.sugar]
kind = "series"
path = "g.csv"
patient = "pid"
time_unit = "minutes"
"""
PARTS = {
    "record": {
        "kind": "table",
        "target": "ill",
        "positive": [1],
        "features": [{"name": "age", "minimum": 20, "maximum": 90, "valid_maximum": 130}],
    },
    "sugar": {
        "kind": "series",
        "unit": "mg/dL",
        "minimum": 40,
        "maximum": 400,
        "history_minutes": 20,
        "horizons_minutes": [5],
    },
}


def test_parts_of_fused_data_are_looked_at(house: House) -> None:
    rows = [f"P{n},{600 + n},{n % 2}" for n in range(40)]
    (house.folder / "t.csv").write_text("\n".join(["pid,age,ill", *rows]))
    readings = [f"P{n % 40},{5 * (n // 40)},{5 + n % 7}" for n in range(400)]
    (house.folder / "g.csv").write_text("\n".join(["pid,time,value", *readings]))
    house.write(FUSED, patients=40)
    look = house.look("fused", target="record", parts=PARTS)
    found = by_level(house.findings("units", "cohort", look=look))
    age, sugar = (text for text in found["amber"] if "outside the study's" in text)
    assert age.startswith("'age' of part 'record': 100%")
    assert "[data.main.parts.record] scale.age = 0.1" in age
    assert sugar.startswith("the readings of part 'sugar': 100%")
    assert "glucose in mmol/L" in sugar
    assert "[data.main.parts.sugar] scale = 18.0182" in sugar
    assert not [text for text in found["amber"] if "impossible" in text], "said already"
    house.write(FUSED.replace('"t.csv"', '"t.csv"\nscale = { age = 0.1 }') + "scale = 18", 40)
    found = by_level(
        house.findings("units", look=house.look("fused", target="record", parts=PARTS))
    )
    assert found == {"green": ["the numbers lie in the study's ranges | "], "amber": [], "red": []}


def test_what_labels_a_part_beside_the_target_is_not_judged(house: House) -> None:
    rows = [f"P{n},{50 + n % 9},{n % 2},{1000 + n}" for n in range(40)]
    (house.folder / "t.csv").write_text("\n".join(["pid,age,ill,days", *rows]))
    other = PARTS["record"] | {"target": "days", "value": {"minimum": 0, "maximum": 10}}
    del other["positive"]
    text = FUSED.replace("sugar", "other").replace('kind = "series"', 'kind = "table"')
    text = text.replace('"g.csv"', '"t.csv"').replace('time_unit = "minutes"', "")
    house.write(text, patients=40)
    look = house.look("fused", target="record", parts={"record": PARTS["record"], "other": other})
    assert by_level(house.findings("units", look=look))["amber"] == []


def test_states_and_rewards_are_looked_at(house: House) -> None:
    """Pressure in kPa, and a reward of another scale."""
    rows = [f"P{n},{n},{9 + n % 4},none,{40 + n % 3}" for n in range(60)]
    (house.folder / "d.csv").write_text("\n".join(["id,hour,mean_pressure,action,reward", *rows]))
    text = 'kind = "episodes"\npath = "d.csv"\npatient = "id"\norder = "hour"\n'
    house.write(text, patients=60)
    pressure, reward = by_level(house.findings("units", look=house.look("episodes")))["amber"]
    assert pressure.startswith("'mean_pressure': 100%")
    assert "in kPa" in pressure
    assert reward.startswith("'reward': 100%")


def test_a_column_of_impossible_values_is_one_line(house: House) -> None:
    rows = [f"P{n},{9000 + n},{n % 2},{n // 2 % 2}" for n in range(40)]
    (house.folder / "t.csv").write_text("\n".join(["pid,age,sex,target", *rows]))
    house.write('kind = "table"\npath = "t.csv"\npatient = "pid"', patients=40)
    content = house.look("table").study.data.model_dump(mode="json")["features"]
    features = [
        each | {"valid_maximum": 130} if each["name"] == "age" else each for each in content
    ]
    look = house.look("table", features=features)
    found = by_level(house.findings("units", "cohort", look=look))
    assert [text for text in found["amber"] if "age" in text] == found["amber"]
    assert len(found["amber"]) == 1
    assert sum("40 values are impossible" in text for text in found["green"]) == 1
    alone = by_level(house.findings("cohort", look=house.look("table", features=features)))
    (line,) = alone["amber"]
    for words in ("impossible and count as missing", "check the unit", "missing in every row"):
        assert words in line
    assert line.count("'age'") == 1


def test_notes_about_one_column_are_one_line() -> None:
    said = [
        "'a': 3 values are no numbers and count as missing.",
        "2 × hr: impossible value.",
        "'a': 4 values are in no category of the study.",
        "declared_patients is 9, but 90 patients were found: correct site.toml.",
        "2 × hr: no number.",
    ]
    found = [each.text for each in notes.findings(said, (), "[data]")]
    assert len(found) == 3
    assert found[0].count("'a'") == 1
    assert "no category" in found[0]
    fixes = [each.fix for each in notes.findings(said, (), "[data]")]
    assert all(fixes)
    assert "[data] declared_patients" in fixes[2]
    kept = by_level(list(notes.findings(said, {"hr", "a"}, "[data]")))
    assert kept["green"] == ["2 × hr: impossible value. | "]
    assert "2 × hr: no number." in "".join(kept["amber"])
