"""Draws molecules from SMILES with RDKit; runs in a worker, since RDKit may hang or crash at a hostile SMILES."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.unusable import Unusable
from client.data.molecules.recipe import Recipe
from client.data.workers.wire import Answer
from common.data_spec.molecules import ATOM_WIDTH, BONDS, ELEMENTS

MOST_NEIGHBOURS = 4.0
"""Neighbours, hydrogens and charges are divided by it, and cut at 1."""
CONNECTED = 14
"""Letters of an InChIKey that tell which atoms are bound to which."""
Floats = NDArray[np.float32]


def draw(job: tuple[Recipe, Sequence[str]]) -> Answer:
    """Draw a few molecules.

    Args:
        job: what is made of them, and their SMILES.

    Returns:
        plain: the numbers of those that could be drawn, their compounds' keys, and (number, reason) of the others;
        array: [drawn, …].
    """
    from rdkit import rdBase

    recipe, smiles = job
    kept: list[int] = []
    compounds: list[str] = []
    refused: list[tuple[int, str]] = []
    drawn: list[Floats] = []
    with rdBase.BlockLogs():  # RDKit quotes the SMILES where it complains
        for number, text in enumerate(smiles):
            try:
                key, array = _drawn(text, recipe)
            except Unusable as reason:
                refused.append((number, str(reason)))
                continue
            kept.append(number)
            compounds.append(key)
            drawn.append(array)
    return Answer([kept, compounds, refused], [np.stack(drawn)] if drawn else [])


def _drawn(smiles: str, recipe: Recipe) -> tuple[str, Floats]:
    """Return the key of a molecule's compound, and its sample."""
    molecule = parsed(smiles, recipe.max_atoms)
    array = (
        _graph(molecule, recipe) if recipe.representation == "graph" else _bits(molecule, recipe)
    )
    return _compound(molecule), array


def _compound(molecule: Any) -> str:
    """Return what is the same for all spellings of a compound: the part of its InChIKey that tells how atoms are bound.

    Mirror images, isotopes and most tautomers of a compound have one key, so they are protected as one. Where a
    molecule has no InChI, its SMILES without isotopes and mirror images stands in.
    """
    from rdkit import Chem

    key: str = Chem.MolToInchiKey(molecule)[:CONNECTED]
    if key:
        return key
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(0)
    return str(Chem.MolToSmiles(molecule, isomericSmiles=False))


def parsed(smiles: str, max_atoms: int) -> Any:
    """Parse a SMILES; what is too large is refused before anything costly is done with it.

    Raises:
        Unusable: it is no molecule that can be used.
    """
    from rdkit import Chem

    if not smiles.isascii() or not smiles.isprintable() or " " in smiles:
        raise Unusable("SMILES that cannot be read")  # RDKit stops at a space and leaves the rest
    rough = Chem.MolFromSmiles(smiles, _parameters(sanitize=False))
    if rough is None:
        raise Unusable("SMILES that cannot be read")
    if not rough.GetNumHeavyAtoms():
        raise Unusable("SMILES without an atom")
    if rough.GetNumHeavyAtoms() > max_atoms:
        raise Unusable("molecule with more atoms than max_atoms")
    if len(Chem.GetMolFrags(rough)) > 1:
        raise Unusable("salt or mixture: several molecules in one SMILES")
    if any(atom.GetAtomicNum() == 0 for atom in rough.GetAtoms()):
        raise Unusable("SMILES with an atom left open")
    molecule = Chem.MolFromSmiles(smiles, _parameters(sanitize=True))
    if molecule is None or molecule.GetNumAtoms() > max_atoms:
        raise Unusable("SMILES of an impossible molecule")
    return molecule


def _parameters(*, sanitize: bool) -> Any:
    """Return how SMILES are read: nothing may follow one in its field."""
    from rdkit import Chem

    found: Any = Chem.SmilesParserParams()
    found.sanitize = found.removeHs = sanitize
    found.allowCXSMILES = found.parseName = False
    return found


@lru_cache(maxsize=4)
def _generator(radius: int, bits: int) -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)


def _bits(molecule: Any, recipe: Recipe) -> Floats:
    """Return the Morgan fingerprint, [bits]."""
    found = _generator(recipe.radius, recipe.bits).GetFingerprintAsNumPy(molecule)
    return np.asarray(found, np.float32)


def fingerprint_with_bits(molecule: Any, recipe: Recipe) -> dict[int, list[tuple[int, int]]]:
    """Return for each bit that the fingerprint has the places that set it: (atom in the middle, radius in bonds)."""
    from rdkit.Chem import rdFingerprintGenerator

    found = rdFingerprintGenerator.AdditionalOutput()
    found.AllocateBitInfoMap()
    _generator(recipe.radius, recipe.bits).GetFingerprint(molecule, additionalOutput=found)
    return {bit: list(places) for bit, places in found.GetBitInfoMap().items()}


def _graph(molecule: Any, recipe: Recipe) -> Floats:
    """Return atoms and bonds, [A, ATOM_WIDTH + 4 A]; see `MoleculeSpec`."""
    size = recipe.max_atoms
    atoms = np.zeros((size, ATOM_WIDTH), np.float32)
    for atom in molecule.GetAtoms():
        atoms[atom.GetIdx()] = _atom(atom)
    bonds = np.zeros((size, len(BONDS), size), np.float32)
    for bond in molecule.GetBonds():
        one, other, kind = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), _bond(bond)
        bonds[one, kind, other] = bonds[other, kind, one] = 1.0
    return np.concatenate([atoms, bonds.reshape(size, -1)], axis=1)


def _atom(atom: Any) -> list[float]:
    """Return the inputs of an atom."""
    symbol = atom.GetSymbol()
    element = [float(symbol == each) for each in ELEMENTS]
    return [
        1.0,
        *element,
        float(symbol not in ELEMENTS),
        min(1.0, atom.GetDegree() / MOST_NEIGHBOURS),
        float(np.clip(atom.GetFormalCharge() / MOST_NEIGHBOURS, -1.0, 1.0)),
        min(1.0, atom.GetTotalNumHs() / MOST_NEIGHBOURS),
        float(atom.GetIsAromatic()),
        float(atom.IsInRing()),
    ]


def _bond(bond: Any) -> int:
    """Return the number of a bond's kind.

    Raises:
        Unusable: molecules of medicine have no such bond.
    """
    kind = str(bond.GetBondType()).lower()
    if kind not in BONDS:
        raise Unusable("molecule with an unusual kind of bond")
    return BONDS.index(kind)
