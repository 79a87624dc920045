"""Molecules in a study's `[data]` section, and how a molecule becomes numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from common.data_spec.targets import ClassedSpec

ELEMENTS = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I", "B", "Si")
"""Elements with an input of their own; all others share one."""
BONDS = ("single", "double", "triple", "aromatic")
"""Kinds of bonds, each with a matrix of its own."""
ATOM_INPUTS = (
    *("atom", *ELEMENTS, "other element"),
    *("neighbours", "charge", "hydrogens", "aromatic", "ring"),
)
"""Inputs of an atom, in their order; the first says whether there is one."""
ATOM_WIDTH = len(ATOM_INPUTS)


class MoleculeSpec(ClassedSpec):
    """Molecules written as SMILES, one a row.

    As a `fingerprint` a molecule has the shape (bits,): 1 where it has a circular substructure that falls on this bit,
    else 0 (Rogers and Hahn 2010, "Extended-connectivity fingerprints"). As a `graph` it has the shape
    (A, ATOM_WIDTH + 4 A): a row an atom, with what is known of the atom (the first input is 1 where there is an atom),
    then its bonds to all atoms, one block of A inputs a kind of bond. Rows and columns past the last atom are 0.
    Neither knows how a molecule is turned in space: mirror images are alike.

    Attributes:
        smiles: the study's name of the column with the SMILES.
        representation: "fingerprint" or "graph".
        radius: of a fingerprint: substructures reach so many bonds from their middle.
        bits: of a fingerprint.
        max_atoms: A; a molecule with more (hydrogens are not counted) is left out.
    """

    kind: Literal["molecules"]
    smiles: str = Field(default="smiles", min_length=1)
    representation: Literal["fingerprint", "graph"] = "fingerprint"
    radius: int = Field(default=2, ge=0, le=6)
    bits: int = Field(default=1024, ge=16, le=65_536)
    max_atoms: int = Field(default=64, ge=1, le=512)

    @model_validator(mode="after")
    def _consistent(self) -> MoleculeSpec:
        """Refuse a target among the inputs, and events over time."""
        if self.smiles == self.target:
            raise ValueError(f"target {self.target!r} is also the column of the SMILES")
        if self.follow_up is not None:
            raise ValueError("follow_up is for tables and records")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (bits,), or (A, ATOM_WIDTH + 4 A)."""
        if self.representation == "fingerprint":
            return (self.bits,)
        return (self.max_atoms, ATOM_WIDTH + len(BONDS) * self.max_atoms)
