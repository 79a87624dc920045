"""Generated compounds: real molecules with a property that their structure tells, some measured twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.data.prepare import prepare
from client.site import load_site
from common.study_file import load_study
from simulations.bundled import study_path
from simulations.hospitals import create
from simulations.hospitals.molecules import GROUPS, LIKED, NAME, RINGS, measured, written

SECRET = b"a site's secret of 32 bytes....."


def test_hospitals_work_on_other_compounds() -> None:
    tables = [measured(np.random.default_rng(1), 400, liked) for liked in LIKED]
    halogens = [table.smiles.str.contains("Cl|F|Br").mean() for table in tables]
    assert halogens[1] > 1.4 * max(halogens[0], halogens[2], halogens[3])
    means = [table.log_solubility.mean() for table in tables]
    assert max(means) - min(means) > 0.3
    assert all(0.05 < len(table) / 400 - 1 < 0.16 for table in tables)


def test_both_spellings_are_one_molecule() -> None:
    chem = pytest.importorskip("rdkit.Chem", reason="needs RDKit")
    for number, ring in enumerate(RINGS):
        groups = [GROUPS[number], None, GROUPS[-1 - number]]
        one, other = (chem.CanonSmiles(written(text, groups)) for text in ring.spellings)
        assert one == other


def test_the_property_is_delaneys() -> None:
    """What groups add up to agrees with the descriptors of the whole molecule, but for the assay's error."""
    chem = pytest.importorskip("rdkit.Chem", reason="needs RDKit")
    from rdkit.Chem import Crippen, Descriptors, rdMolDescriptors

    table = measured(np.random.default_rng(2), 150, {})
    found = []
    for smiles in table.smiles:
        molecule = chem.MolFromSmiles(smiles)
        aromatic = sum(atom.GetIsAromatic() for atom in molecule.GetAtoms())
        found.append(
            0.16
            - 0.63 * Crippen.MolLogP(molecule)
            - 0.0062 * Descriptors.MolWt(molecule)
            + 0.066 * rdMolDescriptors.CalcNumRotatableBonds(molecule)
            - 0.74 * aromatic / molecule.GetNumAtoms()
        )
    assert np.std(table.log_solubility - found) < 0.45
    assert np.corrcoef(table.log_solubility, found)[0, 1] > 0.9


def test_the_bundled_study_reads_them(tmp_path: Path) -> None:
    pytest.importorskip("rdkit", reason="needs RDKit")
    (site,) = create(tmp_path / "h", sites=1, patients=80, seed=3, archives=[NAME], workers=1)
    study = load_study(study_path("molecule-solubility"))
    cohort = prepare(load_site(site), study.data, None, SECRET)
    assert 70 <= cohort.patients <= 80 < cohort.samples
    assert not cohort.notes
    assert not cohort.quarantine.total
    assert np.abs(cohort.targets).max() < 1
