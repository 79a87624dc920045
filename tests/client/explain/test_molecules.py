"""Molecules are explained atom by atom, and drawn; the SMILES itself stands nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trained_runs import trained_with, write_run
from typer.testing import CliRunner

from client.data.molecules import rdkit
from client.data.molecules.reading import draw_all
from client.explain.figures import of_atoms
from client.explain.methods import explained
from client.explain.molecules import Molecule, without_each_atom
from client.explain.question import Question
from client.explain.scores import scores_of
from client.explain.views import views_of
from common.cli import build
from common.data_spec import MoleculeSpec
from common.errors import MachineError

pytest.importorskip("rdkit", reason="needs RDKit (pip install consilium[molecules])")
pytest.importorskip("captum", reason="needs Captum (pip install consilium[explain])")

DATA: dict[str, Any] = {
    "kind": "molecules",
    "max_atoms": 9,
    "target": "logs",
    "value": {"minimum": -10, "maximum": 10},
}
GRAPH = {
    "task": {"name": "regression"},
    "model": {"name": "molecule-graph", "width": 6, "layers": 2},
    "data": DATA | {"representation": "graph"},
}
BITS = {
    "task": {"name": "regression"},
    "model": {"name": "mlp", "hidden": [8]},
    "data": DATA | {"representation": "fingerprint", "bits": 64, "radius": 2},
}
BOTH = pytest.mark.parametrize("sections", [GRAPH, BITS], ids=["graph", "fingerprint"])
PHENOL, BENZENE, ETHANOL = "c1ccccc1O", "c1ccccc1", "CCO"


def question_of(sections: dict[str, Any], smiles: str) -> Question:
    trained = trained_with(**sections)
    spec = trained.study.data
    assert isinstance(spec, MoleculeSpec)
    raw = draw_all([smiles], spec).inputs
    score = scores_of(trained.study, trained.task)[0]
    network, cpu = trained.network.eval(), torch.device("cpu")
    (view,) = views_of(spec, network, score, raw, {"": smiles}, cpu)
    return view.question


def by_atom(name: str, question: Question) -> np.ndarray[Any, Any]:
    assert question.molecule is not None
    return of_atoms(name, explained(name, question), question.molecule)


@BOTH
def test_shares_of_atoms_add_up_to_what_the_molecule_says(sections: dict[str, Any]) -> None:
    question = question_of(sections, PHENOL)
    found = by_atom("integrated-gradients", question)
    assert found.shape == (7,)
    assert found.sum() == pytest.approx(question.value - question.start, rel=0.05, abs=1e-4)


@BOTH
def test_atoms_that_are_alike_say_the_same(sections: dict[str, Any]) -> None:
    question = question_of(sections, BENZENE)
    for name in ("saliency", "integrated-gradients", "occlusion"):
        found = by_atom(name, question)
        assert np.ptp(found) == pytest.approx(0.0, abs=1e-5), name
    mixed = by_atom("occlusion", question_of(sections, PHENOL))
    assert np.ptp(mixed) > 1e-5
    assert mixed[0] == pytest.approx(mixed[4], abs=1e-5), "both lie beside the one with oxygen"


def test_an_atom_goes_with_its_bonds() -> None:
    """Without its last atom ethanol is two carbons with their bond; the first keeps what is known of it."""
    question = question_of(GRAPH, ETHANOL)
    assert question.molecule is not None
    left = without_each_atom(question.molecule, question.sample[0])
    assert left.shape == (3, *question.sample.shape[1:])
    bonds = left[2][:, 18:]
    assert bonds.sum() == 2, "one bond, seen from both ends"
    assert not left[2][2].any()
    assert torch.equal(left[2][0], question.sample[0, 0])


def test_a_bit_stays_while_another_atom_sets_it() -> None:
    """Both carbons of ethane set the same bit: it goes with neither alone, only with the bond's substructure."""
    spec = MoleculeSpec.model_validate(BITS["data"] | {"radius": 0})
    molecule = Molecule.of("CC", spec)
    sample = torch.from_numpy(draw_all(["CC"], spec).inputs[0])
    assert sample.sum() == 1
    assert torch.equal(without_each_atom(molecule, sample), torch.stack([sample, sample]))
    shares = molecule.by_atom(sample.numpy(), additive=True)
    assert shares.tolist() == [0.5, 0.5]


def test_bits_that_a_molecule_lacks_are_no_atoms() -> None:
    spec = MoleculeSpec.model_validate(BITS["data"])
    molecule = Molecule.of(ETHANOL, spec)
    absent = 1.0 - draw_all([ETHANOL], spec).inputs[0]
    assert not molecule.by_atom(absent, additive=False).any()
    assert not molecule.by_atom(absent, additive=True).any()


def run(*arguments: object) -> str:
    result = CliRunner().invoke(build(), ["explain", *map(str, arguments), "--device", "cpu"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@BOTH
def test_structures_on_the_page(tmp_path: Path, sections: dict[str, Any]) -> None:
    table = tmp_path / "new.csv"
    table.write_text(f"smiles,who\n{PHENOL},a\nnonsense,b\n{ETHANOL},c\n")
    out = tmp_path / "out"
    said = run(write_run(tmp_path / "run", **sections), table, "--out", out)
    assert "left out: 1" in said
    assert "2 cases explained" in said
    page = (out / "explanations.html").read_text()
    assert page.count("data:image/png") == 2 * 3
    assert "no molecule: inputs of 0" in page
    assert PHENOL not in page + said
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) == 6
    assert all(b"rdkit" not in path.read_bytes().lower() for path in pictures), "the molecule"
    assert all(path.stat().st_mode & 0o077 == 0 for path in pictures)
    with np.load(out / "case-0001-sample-1.npz") as found:
        assert found["occlusion-by-atom"].shape == (7,)
        assert found["saliency-by-atom"].min() >= 0


def test_pictures_show_which_atoms_count() -> None:
    spec = MoleculeSpec.model_validate(GRAPH["data"])
    molecule = Molecule.of(ETHANOL, spec)
    nothing, one = (
        molecule.picture(np.array(values, np.float32), signed=True)
        for values in ([0, 0, 0], [0, 0, 1.5])
    )
    assert nothing[:4] == one[:4] == b"\x89PNG"
    assert nothing != one


def test_without_rdkit_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "new.csv"
    table.write_text(f"smiles\n{PHENOL}\n")
    monkeypatch.setattr(rdkit, "find_spec", lambda name: None)
    model = write_run(tmp_path / "run", **GRAPH)
    with pytest.raises(MachineError, match="needs the package 'rdkit'") as refused:
        run(model, table, "--out", tmp_path / "out")
    assert "consilium[molecules]" in refused.value.fix
    assert not (tmp_path / "out").exists()
