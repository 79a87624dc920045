"""Molecules: drawn as the study says, one unit a compound, and nothing of a SMILES in any message."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data.molecules import reading
from client.data.molecules.config import MoleculeDataset
from client.data.molecules.reading import draw_all
from client.data.molecules.source import MoleculeSource
from client.data.samples import RawSamples
from client.data.workers.wire import Answer, Outcome, Refused
from common.data_spec import MoleculeSpec
from common.data_spec.molecules import ATOM_WIDTH, BONDS, ELEMENTS
from common.errors import DataError, MachineError

pytest.importorskip("rdkit", reason="needs RDKit (pip install consilium[molecules])")

SPEC: dict[str, Any] = {
    "kind": "molecules",
    "target": "logs",
    "value": {"unit": "mg/L", "minimum": -4, "maximum": 4},
    "bits": 64,
    "max_atoms": 6,
}


def load(
    tmp_path: Path, text: str, classes: Any = None, spec: Any = None, **site: Any
) -> RawSamples:
    path = tmp_path / "m.csv"
    path.write_text(text)
    dataset = MoleculeDataset(kind="molecules", path=path, declared_patients=9, **site)
    return MoleculeSource().load(dataset, MoleculeSpec(**{**SPEC, **(spec or {})}), classes)


def test_values_are_scaled_and_clipped(tmp_path: Path) -> None:
    found = load(tmp_path, "smiles,logs\nC,2\nCC,-9\nCCC,4\n")
    assert found.targets.dtype == np.float32
    assert found.targets.tolist() == [[0.5], [-1.0], [1.0]]
    assert found.inputs.shape == (3, 64)
    assert set(np.unique(found.inputs)) == {0.0, 1.0}
    assert not found.quarantine.total


def test_the_sites_words_and_units_are_read(tmp_path: Path) -> None:
    site: dict[str, Any] = {"columns": {"smiles": "structure", "logs": "S"}, "patient": "who"}
    site |= {"units": {"logs": "g/L"}, "missing": ["-"]}
    found = load(tmp_path, "who,structure,S\na,C,0.002\na,CC,0.001\n,CC,1\nb,-,1\nc,CC,-\n", **site)
    assert found.targets[:, 0].tolist() == pytest.approx([0.5, 0.25])
    assert list(found.patients) == ["a", "a"]
    assert found.quarantine.counts == {"no patient id": 1, "no SMILES": 1, "no target value": 1}


def test_a_wrong_unit_is_noted(tmp_path: Path) -> None:
    found = load(tmp_path, "smiles,logs\nC,200\nCC,300\nCCC,1\n")
    assert found.notes == ("'logs': 2 values are outside -4 to 4: check the unit.",)


def test_every_spelling_of_a_compound_is_one_unit(tmp_path: Path) -> None:
    same = ["C1=CC=CC=C1", "c1ccccc1", "[cH:1]1ccccc1", "[13cH]1ccccc1"]
    hands = ["C[C@H](N)O", "C[C@@H](N)O", "CC(O)N"]
    rows = "".join(f"{smiles},1\n" for smiles in [*same, *hands])
    patients = load(tmp_path, f"smiles,logs\n{rows}").patients
    assert len(set(patients[:4])) == len(set(patients[4:])) == 1
    assert len(set(patients)) == 2


def test_classes_are_read_as_of_tables(tmp_path: Path) -> None:
    spec = {"value": None, "positive": ["toxic"]}
    found = load(tmp_path, "smiles,logs\nC,toxic\nCC,safe\n", ["safe", "toxic"], spec)
    assert found.targets.tolist() == [1, 0]
    with pytest.raises(DataError, match="no class"):
        load(tmp_path, "smiles,logs\nC,x\n", ["a", "b"], {**spec, "negative": ["safe"]})


BAD = {
    "xyz": "SMILES that cannot be read",
    "CCO name": "SMILES that cannot be read",
    "C" * 2001: "SMILES of more than 2000 characters",
    "CCCCCCC": "molecule with more atoms than max_atoms",
    "CCO.Cl": "salt or mixture: several molecules in one SMILES",
    "C(C)(C)(C)(C)C": "SMILES of an impossible molecule",
    "[H][H]": "SMILES without an atom",
    "*C": "SMILES with an atom left open",
    "C$C": "molecule with an unusual kind of bond",
}


def test_what_cannot_be_used_is_named_by_its_row(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{smiles},1\n" for smiles in BAD)
    found = load(tmp_path, f"smiles,logs\nCCO,1\n{rows}CCN,x\n", spec={"representation": "graph"})
    assert len(found.inputs) == 1
    details = dict(found.quarantine.details)
    assert details == {f"m.csv row {n}": reason for n, reason in enumerate(BAD.values(), 2)} | {
        "m.csv row 11": "no target value that is a number"
    }
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_a_graph_holds_atoms_and_bonds(tmp_path: Path) -> None:
    rows = "smiles,logs\nC=CC#N,1\nc1ccccc1,1\n[NH4+],1\n[Se],1\n"
    found = load(tmp_path, rows, spec={"representation": "graph"}).inputs
    assert found.shape == (4, 6, ATOM_WIDTH + 4 * 6)
    assert np.abs(found).max() <= 1
    atoms, bonds = found[:, :, :ATOM_WIDTH], found[:, :, ATOM_WIDTH:].reshape(4, 6, 4, 6)
    assert atoms[:, :, 0].sum(1).tolist() == [4, 6, 1, 1]
    assert (atoms[0, :, 1 + ELEMENTS.index("N")] == [0, 0, 0, 1, 0, 0]).all()
    kinds = {(0, 1): "double", (1, 2): "single", (2, 3): "triple"}
    for (one, other), kind in kinds.items():
        assert (
            bonds[0, one, BONDS.index(kind), other] == bonds[0, other, BONDS.index(kind), one] == 1
        )
    assert bonds[0].sum() == 2 * len(kinds)
    assert bonds[1, :, BONDS.index("aromatic")].sum() == bonds[1].sum() == 12
    degree, charge, hydrogens, aromatic, ring = np.moveaxis(atoms[:, 0, -5:], 1, 0)
    assert aromatic.tolist() == ring.tolist() == [0, 1, 0, 0]
    assert degree.tolist() == [0.25, 0.5, 0, 0]
    assert (charge[2], hydrogens[2]) == (0.25, 1.0)
    assert atoms[3, 0, 1 + len(ELEMENTS)] == 1
    assert not found[0, 4:].any()


def test_one_that_crashes_its_reader_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcomes(function: Any, jobs: Any, limits: Any) -> Iterator[tuple[int, Outcome]]:
        for number, (_, smiles) in enumerate(jobs):
            if "N" in smiles:
                yield number, Refused("crashed the program that reads it")
            else:
                array = np.full((len(smiles), 64), len(smiles[0]), np.float32)
                yield number, Answer([list(range(len(smiles))), list(smiles), []], [array])

    monkeypatch.setattr(reading, "outcomes", outcomes)
    monkeypatch.setattr(reading, "TOGETHER", 2)
    drawn = draw_all(["C", "N", "CC", "CCC", "O"], MoleculeSpec(**SPEC))
    assert drawn.rows.tolist() == [0, 2, 3, 4]
    assert list(drawn.compounds) == ["C", "CC", "CCC", "O"]
    assert drawn.inputs[0, 0] == 1
    assert drawn.refused == [(1, "SMILES that crashed the program that reads it")]


def test_without_rdkit_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(MachineError, match=r"Install consilium\[molecules\]"):
        load(tmp_path, "smiles,logs\nC,1\n")


def test_a_declared_split_holds_for_a_compound(tmp_path: Path) -> None:
    found = load(tmp_path, "smiles,logs,set\nOC,1,test\nCO,1,test\nC,1,train\n", split="set")
    assert found.splits is not None
    assert sorted(found.splits.values()) == ["test", "train"]
    with pytest.raises(DataError, match="split"):
        load(tmp_path, "smiles,logs,set\nOC,1,test\nCO,1,train\n", split="set")
