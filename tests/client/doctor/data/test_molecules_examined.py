"""Molecules under the doctor: whose they are, whether they can be read, which columns lack."""

from __future__ import annotations

import pytest
from doctor_house import House, by_level

from client.doctor.data import decoders

ROWS = "\n".join(["structure,log_solubility,who", *(f"{'C' * n},-1,p{n}" for n in range(1, 25))])


def site(house: House, more: str = "") -> None:
    (house.folder / "m.csv").write_text(ROWS + "\n")
    house.write(f'kind = "molecules"\npath = "m.csv"\n{more}')


def test_it_says_who_is_protected(house: House) -> None:
    site(house)
    assert "each compound is protected" in by_level(house.findings("patients"))["green"][0]
    site(house, 'patient = "who"')
    assert (
        "every molecule has a patient of its own"
        in by_level(house.findings("patients"))["amber"][0]
    )


def test_a_missing_column_is_named(house: House) -> None:
    site(house)
    found = by_level(house.findings("columns", look=house.look("molecules")))
    assert "The column 'smiles' is not in m.csv" in found["red"][0]


def test_a_target_in_another_unit_is_doubted(house: House) -> None:
    site(house, 'columns = { smiles = "structure" }')
    look = house.look("molecules", value={"minimum": 0, "maximum": 5})
    found = by_level(house.findings("columns", "units", look=look))
    assert "100% of the values are outside" in found["amber"][0]


def test_without_rdkit_nothing_can_be_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    site(house)
    monkeypatch.setattr(decoders, "_works", lambda module: False)
    assert "consilium[molecules]" in by_level(house.findings("decoders"))["red"][0]
