"""What explanations need to know of a molecule: which inputs hang on which atom, and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.data.molecules import rdkit
from client.data.molecules.depiction import depict, outline
from client.data.molecules.reading import LIMITS
from client.data.molecules.recipe import Recipe
from client.data.workers.pool import outcomes
from client.data.workers.wire import Answer
from client.explain.colours import LOWERS, RAISES, strengths
from common.data_spec import MoleculeSpec
from common.data_spec.molecules import ATOM_WIDTH, BONDS
from common.errors import DataError

Floats = NDArray[np.float32]
NOTED = 0.1
"""An atom's number is written beside it where it is at least this share of the largest."""
Environment = tuple[int, Sequence[int]]


@dataclass(frozen=True)
class Molecule:
    """The molecule of a sample.

    Attributes:
        smiles: not trusted; only workers read it.
        recipe: what was made of it.
        atoms: how many it has.
        environments: of a fingerprint the substructures that set a bit: (bit, its atoms).
    """

    smiles: str = field(repr=False)
    recipe: Recipe
    atoms: int
    environments: Sequence[Environment] = field(default=(), repr=False)

    @classmethod
    def of(cls, smiles: str, spec: MoleculeSpec) -> Molecule:
        """Have RDKit look at a molecule that was drawn before.

        Raises:
            MachineError: RDKit is not installed.
            DataError: it cannot be read any more.
        """
        rdkit.require()
        recipe = Recipe.of(spec)
        atoms, environments = _asked(outline, (recipe, smiles)).value
        return cls(smiles, recipe, atoms, environments)

    def without(self, sample: Tensor, atom: int) -> Tensor:
        """Return a sample without what hangs on an atom: its row and its bonds, or the bits that it alone sets.

        Riniker and Landrum 2013, "Similarity maps - a visualization strategy for molecular fingerprints and
        machine-learning methods", take atoms out of fingerprints so.

        Args:
            sample: `[*shape]` as the network sees it.
            atom: its number.
        """
        left = sample.clone()
        if self.recipe.representation == "graph":
            left[atom] = 0.0
            left[:, ATOM_WIDTH:].unflatten(1, (len(BONDS), -1))[:, :, atom] = 0.0
            return left
        kept = {bit for bit, atoms in self.environments if atom not in atoms}
        gone = {bit for bit, _ in self.environments} - kept
        left[sorted(gone)] = 0.0
        return left

    def by_atom(self, values: Floats, *, additive: bool) -> Floats:
        """Return what a method says of inputs as what it says of atoms, `[atoms]`.

        Args:
            values: `[A, fields]` or `[A]` of a graph, `[bits]` of a fingerprint.
            additive: values add up to something, and so do those of the atoms; else the largest counts.
        """
        if self.recipe.representation == "graph":
            rows: Floats = values[: self.atoms]
            if rows.ndim == 2:
                rows = rows.sum(1) if additive else np.abs(rows).max(1)
            return rows
        shares = self._shares()
        if additive:
            return (shares @ values).astype(np.float32)
        largest: Floats = np.where(shares > 0, np.abs(values), 0.0).max(1).astype(np.float32)
        return largest

    def _shares(self) -> NDArray[np.float64]:
        """Return each atom's share in each bit, `[atoms, bits]`: equal among a bit's substructures and their atoms."""
        shares = np.zeros((self.atoms, self.recipe.bits))
        for bit, atoms in self.environments:
            shares[list(atoms), bit] += 1.0 / len(atoms)
        total = shares.sum(0)
        return shares / np.where(total > 0, total, 1.0)

    def picture(self, values: Floats, *, signed: bool) -> bytes:
        """Return the molecule as PNG, each atom on a disc in the colour of its value.

        Raises:
            DataError: it cannot be drawn.
        """
        strength = strengths(values)
        colours = [_colour(float(each)) for each in strength]
        sign = "+" if signed else ""
        told = [f"{value:{sign}.2g}" for value in values.tolist()]  # RDKit's font has no "−"
        notes = [text if abs(s) >= NOTED else "" for text, s in zip(told, strength, strict=True)]
        job = (self.smiles, self.recipe.max_atoms, colours, notes)
        return _asked(depict, job).arrays[0].tobytes()


def without_each_atom(molecule: Molecule, sample: Tensor) -> Tensor:
    """Return `[atoms, *shape]`: the sample without the first atom, without the second, and so on."""
    return torch.stack([molecule.without(sample, atom) for atom in range(molecule.atoms)])


def _colour(strength: float) -> tuple[float, float, float]:
    """Return the colour of a strength in [-1, 1], on white."""
    red, green, blue = (
        1.0 - abs(strength) * (1.0 - part / 255) for part in (RAISES if strength >= 0 else LOWERS)
    )
    return red, green, blue


def _asked(function: Any, job: Any) -> Answer:
    """Have a worker do one job."""
    _, outcome = next(iter(outcomes(function, [job], LIMITS)))
    if not isinstance(outcome, Answer):
        raise DataError(f"A molecule's structure {outcome.reason}.", where="SMILES")
    return outcome
