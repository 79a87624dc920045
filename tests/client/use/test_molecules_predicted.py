"""Predictions of molecules: one row a molecule, in the study's unit, beside its row number."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from trained_runs import trained_with

from client.use.datasets import Beside
from client.use.predict import Order, predict

pytest.importorskip("rdkit", reason="needs RDKit (pip install consilium[molecules])")

SECTIONS: dict[str, Any] = {
    "task": {"name": "regression"},
    "model": {"name": "molecule-graph", "width": 4, "layers": 1},
    "data": {
        "kind": "molecules",
        "representation": "graph",
        "max_atoms": 8,
        "target": "logs",
        "value": {"minimum": -10, "maximum": 10},
    },
}


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_every_molecule_has_a_row(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("smiles,who\nCCO,a\nOCC,a\nCC.Cl,b\nc1ccccc1,b\n")
    trained = trained_with(**SECTIONS)
    told = predict(Order(trained, tmp_path / "out", torch.device("cpu")), file)
    rows = table(tmp_path / "out")
    assert [(row["case"], row["row"]) for row in rows] == [("1", "1"), ("2", "2"), ("4", "4")]
    first, second, third = (float(row["logs"]) for row in rows)
    assert first == pytest.approx(second, abs=1e-4)  # one compound, spelt in two ways
    assert abs(first - third) > 1e-4
    assert all(-10 <= value <= 10 for value in (first, third))
    assert told.left_out.counts == {"salt or mixture: several molecules in one SMILES": 1}
    left_out = (tmp_path / "out" / "left-out.csv").read_text().splitlines()
    assert left_out == [
        "name,reason",
        "new.csv row 3,salt or mixture: several molecules in one SMILES",
    ]
    named = Order(
        trained, tmp_path / "named", torch.device("cpu"), own_names=True, beside=Beside(case="who")
    )
    predict(named, file)
    assert [row["case"] for row in table(tmp_path / "named")] == ["a", "a", "b"]
