"""The declared schema: units, ranges, impossible values, times; and jumps in a series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.data import cells
from client.data.cohort import Cohort
from client.data.config_base import TextFormat
from client.data.times import Clock
from client.data.units import between
from common.data_spec import Feature
from common.errors import DataError

Build = Callable[..., Cohort]
TABLE: dict[str, Any] = {
    "kind": "table",
    "target": "ill",
    "positive": [1],
    "features": [
        {
            "name": "temperature",
            "unit": "°C",
            "minimum": 30,
            "maximum": 45,
            "valid_minimum": 20,
            "valid_maximum": 46,
            "missing_indicator": True,
        }
    ],
}
SITE = 'kind = "table"\npath = "t.csv"\n'


@pytest.mark.parametrize(
    ("own", "study", "value", "expected"),
    [
        ("°F", "°C", 98.6, 37.0),
        ("degC", "F", 37, 98.6),
        ("K", "C", 310.15, 37.0),
        ("µV", "mV", 250, 0.25),
        ("kPa", "mmHg", 13.3322, 100.0),
        ("lb", "kg", 100, 45.359237),
        ("in", "cm", 10, 25.4),
        ("g/dL", "g/L", 13.5, 135),
        ("%", "1", 21, 0.21),
        ("mmhg", "mmHg", 7, 7),
        ("", "mV", 7, 7),
        ("stars", "stars", 7, 7),
    ],
)
def test_units(own: str, study: str, value: float, expected: float) -> None:
    found = between(own, study, name="x", where="")
    assert value * found.factor + found.offset == pytest.approx(expected, rel=1e-5)


def test_a_unit_that_needs_to_know_the_substance_is_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="glucose") as caught:
        between("mmol/L", "mg/dL", name="glucose", where="t.csv")
    assert "scale.glucose" in caught.value.fix
    (tmp_path / "t.csv").write_text("temperature,ill\n0.1,1\n")
    with pytest.raises(DataError, match="no fixed factor"):
        build(SITE + 'units = {temperature = "mmHg"}\n', TABLE)
    site = SITE + 'units = {temperature = "x"}\nscale = {temperature = 375}\n'
    assert build(site, TABLE).inputs[0, 0] == 0.0


def test_impossible_values_count_as_missing(build: Build, tmp_path: Path) -> None:
    rows = "".join(f"{value},{i % 2}\n" for i, value in enumerate([98.6, 0, 99.5, 700, 113]))
    (tmp_path / "t.csv").write_text("temperature,ill\n" + rows)
    cohort = build(SITE + 'units = {temperature = "°F"}\n', TABLE)
    found = sorted((round(float(a), 4), float(b)) for a, b in cohort.inputs)
    assert found == [(-0.0667, -1.0), (0.0, -1.0), (0.0, 1.0), (0.0, 1.0), (1.0, -1.0)]
    assert cohort.notes == ("'temperature': 2 values are impossible and count as missing.",)


def test_a_wrong_unit_is_noticed(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("temperature,ill\n98,1\n99,0\n97,0\n37,1\n")
    assert any("check the unit" in note for note in build(SITE, TABLE).notes)


@pytest.mark.parametrize(
    "feature",
    [
        {"type": "flag", "unit": "kg"},
        {"type": "flag", "valid_minimum": 1},
        {"minimum": 0, "maximum": 1, "valid_minimum": 3, "valid_maximum": 2},
        {"type": "category", "categories": [1], "valid_maximum": 1},
    ],
)
def test_schemas_that_make_no_sense(feature: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"only a number|valid_minimum"):
        Feature.model_validate({"name": "x", **feature})


def minutes(*values: str, form: str | None = None, unit: str | None = None) -> list[float]:
    found = Clock(unit, form, TextFormat(), "t.csv").minutes(pd.Series(values, dtype=str), "time")
    return (found - found[0]).tolist()


def test_one_date_that_must_be_day_first_makes_all_of_them_so() -> None:
    day = 1440.0
    assert minutes("01/02/2024 00:00", "02/02/2024 00:00", "13/02/2024 00:00") == [0, day, 12 * day]
    assert minutes("01/02/2024 00:00", "02/02/2024 00:00") == [0, 31 * day]
    assert minutes("1.2.2024 00:00", "2.2.2024 00:00") == [0, day]
    assert minutes("1.5", "3", unit="hours") == [0, 90]


SERIES: dict[str, Any] = {
    "kind": "series",
    "history_minutes": 10,
    "horizons_minutes": [5],
    "minimum": 0,
    "maximum": 400,
    "unit": "mg/dL",
    "stride_minutes": 5,
    "max_gap_minutes": 5,
}


def test_a_jump_that_no_body_makes_is_dropped_by_what_came_before(
    build: Build, tmp_path: Path
) -> None:
    values = [100, 102, 390, 104, 106, 108, 250, 252, 254, 256, 258, 260, 262, 264]
    rows = "".join(f"p,{5 * i},{value}\n" for i, value in enumerate(values))
    (tmp_path / "g.csv").write_text("patient,time,value\n" + rows)
    site = 'kind = "series"\npath = "g.csv"\ntime_unit = "minutes"\n'
    plain = build(site, SERIES)
    found = build(site, {**SERIES, "valid_change_per_minute": 5})
    # 390 is a spike; the step to 250 is believed once 35 minutes allow for it, at the seventh reading
    assert found.quarantine.counts["impossible change"] == 1 + 6
    assert found.samples < plain.samples


def test_a_series_in_another_unit(build: Build, tmp_path: Path) -> None:
    rows = "".join(f"p,{5 * i},{5 + i / 10}\n" for i in range(9))
    (tmp_path / "g.csv").write_text("patient,time,value\n" + rows)
    site = 'kind = "series"\npath = "g.csv"\ntime_unit = "minutes"\nunits = {value = "mmol/L"}\n'
    with pytest.raises(DataError, match="no fixed factor"):
        build(site, SERIES)
    cohort = build(site + "scale = 18.0\n", SERIES)
    np.testing.assert_allclose(cohort.inputs[0, 0, 0] * 200 + 200, 90, atol=1e-3)


def test_iso_dates_beside_day_first_ones_stay_as_they_are() -> None:
    day = 1440.0
    mixed = minutes("13/02/2024 00:00", "2024-02-14 00:00", "2024-03-02 00:00", "15/02/2024 00:00")
    assert mixed == [0, day, 18 * day, 2 * day]


def test_a_date_that_can_only_be_month_first_is_not_read_among_day_first_ones() -> None:
    found = minutes("13/02/2024 00:00", "02/14/2024 00:00", "14/02/2024 00:00")
    assert np.isnan(found[1])
    assert found[2] == 1440.0


def test_what_was_taken_for_month_first_is_not_read_the_other_way_later() -> None:
    clock = Clock(None, None, TextFormat(), "t.csv")
    clock.minutes(pd.Series(["01/02/2024 00:00"]), "time")
    with pytest.raises(DataError, match="day first") as caught:
        clock.minutes(pd.Series(["13/02/2024 00:00"]), "time")
    assert "time_format" in caught.value.fix
    clock = Clock(None, None, TextFormat(), "t.csv")
    first = clock.minutes(pd.Series(["13/02/2024 00:00"]), "time")
    assert clock.minutes(pd.Series(["01/02/2024 00:00"]), "time") == first - 12 * 1440


@pytest.mark.parametrize("number", ["1610111213", "1610111213.5", "1610111213000", "44927.5"])
def test_plain_numbers_are_never_dates(number: str) -> None:
    with pytest.raises(DataError, match="plain numbers"):
        minutes(number)


MARKS = [
    (",", ".", ["1.234", "1.234.567,8", "12,5", "12.5", "-3"], [1234, 1234567.8, 12.5, None, -3]),
    (",", None, ["1.234", "1,234", "12.5", "1.234,5"], [None, 1.234, 12.5, None]),
    (".", ",", ["1,234", "1,234.5", "12,5", "1.234"], [1234, 1234.5, None, 1.234]),
    (".", None, ["1,234", "1.234"], [None, 1.234]),
    (".", "'", ["1'234.5", "-12'345"], [1234.5, -12345]),
]


@pytest.mark.parametrize(("decimal", "thousands", "written", "meant"), MARKS)
def test_marks_of_numbers(
    decimal: str, thousands: str | None, written: list[str], meant: list[float | None]
) -> None:
    text = TextFormat(decimal=decimal, thousands=thousands)
    found = cells.numbers(pd.Series(written, dtype=str), text)
    np.testing.assert_allclose(found, np.array(meant, float))


def test_a_missing_number_is_known_with_a_decimal_comma() -> None:
    text = TextFormat(decimal=",", missing=(-9, "-99.5"))
    found = cells.is_missing(pd.Series(["-9,0", "-9", "-99,5", "9,0", "0,9"]), text)
    assert found.tolist() == [True, True, True, False, False]
