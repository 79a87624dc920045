"""What a molecule is made into, as a worker is told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from common.data_spec import MoleculeSpec


@dataclass(frozen=True)
class Recipe:
    """The part of a study's `[data]` that shapes a molecule; see `MoleculeSpec`."""

    representation: Literal["fingerprint", "graph"]
    radius: int
    bits: int
    max_atoms: int

    @classmethod
    def of(cls, spec: MoleculeSpec) -> Recipe:
        """Return the study's recipe."""
        return cls(spec.representation, spec.radius, spec.bits, spec.max_atoms)
