"""Columns that a part of fused data lacks, or a table of decisions, are named before anything is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doctor_house import House, by_level

FUSED = """
kind = "fused"
[data.main.parts.record]
kind = "table"
path = "records.csv"
patient = "id"
[data.main.parts.film]
kind = "arrays"
path = "films.npz"
"""
DECISIONS = 'kind = "episodes"\npath = "d.csv"\npatient = "id"\norder = "hour"\n'


@pytest.fixture
def house(tmp_path: Path) -> House:
    np.savez(tmp_path / "films.npz", images=np.zeros((2, 32, 32)), patients=np.array(["a", "b"]))
    return House(tmp_path)


def columns(house: House, kind: str) -> dict[str, list[str]]:
    return by_level(house.findings("columns", look=house.look(kind)))


def test_a_part_that_lacks_a_column_is_named(house: House) -> None:
    house.write(FUSED)
    (house.folder / "records.csv").write_text("id,years,admitted\na,50,1\nb,60,0\n")
    (said,) = columns(house, "fused")["red"]
    assert "'age' is not in records.csv" in said
    assert "[data.main.parts.record] columns" in said
    (house.folder / "records.csv").write_text("id,age,admitted\na,50,1\nb,60,0\n")
    assert "all 3 columns" in columns(house, "fused")["green"][-1]


def test_what_labels_a_part_beside_the_target_is_not_asked_for(house: House) -> None:
    house.write(FUSED)
    (house.folder / "records.csv").write_text("id,age\na,50\nb,60\n")
    assert "'admitted'" in columns(house, "fused")["red"][0]
    age = {"name": "age", "minimum": 30, "maximum": 100}
    record = {"kind": "table", "target": "admitted", "positive": [1], "features": [age]}
    parts = {"record": record, "film": {"kind": "arrays", "image_size": 32}}
    look = house.look("fused", target="film", parts=parts)
    assert "all 2 columns" in by_level(house.findings("columns", look=look))["green"][-1]


def test_a_table_of_decisions(house: House) -> None:
    house.write(DECISIONS)
    (house.folder / "d.csv").write_text("id,hour,mean_pressure,action\na,1,50,none\n")
    (said,) = columns(house, "episodes")["red"]
    assert "'reward' is not in d.csv" in said
    (house.folder / "d.csv").write_text("id,hour,mean_pressure,action,reward\na,1,50,none,1\n")
    assert "all 5 columns" in columns(house, "episodes")["green"][-1]
