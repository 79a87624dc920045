"""Pictures of molecules with RDKit, and which inputs hang on which atom; runs in a worker, as `drawing` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from client.data.molecules.drawing import fingerprint_with_bits, parsed
from client.data.molecules.recipe import Recipe
from client.data.workers.wire import Answer

SIDES = (560, 420)
"""Of a picture, in pixels."""
RADIUS = 0.42
"""Of the disc behind an atom, where a bond has a length of about 1.5."""
Colour = tuple[float, float, float]


def outline(job: tuple[Recipe, str]) -> Answer:
    """Say of how many atoms a molecule is, and of a fingerprint which atoms set which bit.

    Args:
        job: what is made of the molecule, and its SMILES.

    Returns:
        plain: the number of atoms, and of a fingerprint a pair (bit, its atoms) for each substructure that sets one.
    """
    from rdkit import Chem, rdBase

    recipe, smiles = job
    with rdBase.BlockLogs():
        molecule = parsed(smiles, recipe.max_atoms)
        found: list[tuple[int, list[int]]] = []
        if recipe.representation == "fingerprint":
            for bit, places in sorted(fingerprint_with_bits(molecule, recipe).items()):
                for middle, radius in places:
                    bonds = Chem.FindAtomEnvironmentOfRadiusN(molecule, radius, middle)
                    found.append((bit, sorted(_ends(molecule, bonds) | {middle})))
        return Answer([molecule.GetNumAtoms(), found])


def depict(job: tuple[str, int, Sequence[Colour], Sequence[str]]) -> Answer:
    """Draw a molecule.

    Args:
        job: its SMILES, the most atoms that it may have, and for every atom the colour of the disc behind it (white:
            none) and what is written beside it.

    Returns:
        array: the bytes of a PNG file without anything else about the molecule.
    """
    from rdkit import rdBase
    from rdkit.Chem.Draw import rdMolDraw2D

    smiles, max_atoms, colours, notes = job
    with rdBase.BlockLogs():
        molecule = parsed(smiles, max_atoms)
        for atom, note in zip(molecule.GetAtoms(), notes, strict=True):
            if note:
                atom.SetProp("atomNote", note)
        seen = {n: colour for n, colour in enumerate(colours) if min(colour) < 1.0}
        drawer = rdMolDraw2D.MolDraw2DCairo(*SIDES)
        options: Any = drawer.drawOptions()
        options.includeMetadata = False  # else the file holds the molecule itself
        options.useBWAtomPalette()  # colours are for what explains
        options.annotationFontScale = 0.6
        rdMolDraw2D.PrepareAndDrawMolecule(
            drawer,
            molecule,
            highlightAtoms=list(seen),
            highlightAtomColors=seen,
            highlightAtomRadii=dict.fromkeys(seen, RADIUS),
            highlightBonds=[],
        )
        drawer.FinishDrawing()
        return Answer(arrays=[np.frombuffer(drawer.GetDrawingText(), np.uint8)])


def _ends(molecule: Any, bonds: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for number in bonds:
        bond = molecule.GetBondWithIdx(number)
        found |= {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()}
    return found
