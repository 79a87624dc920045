"""The molecules archive: compounds of a hospital's pharmacy and how well they dissolve in water.

A compound is a ring with groups on it. What is measured is Delaney's estimate of the solubility (2004, "ESOL:
estimating aqueous solubility directly from molecular structure") from the sum of what ring and groups add to
lipophilicity, mass and bonds, with the error of an assay. Every hospital works on other compounds: one on acids, one
on halogens. Some compounds were measured twice, and then written down in another way; to a reader who knows molecules
both are one. Nothing here needs a package for molecules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "molecules"
ASSAY_ERROR = 0.3
"""Standard deviation of a measurement, in log10 of mol/L."""
MEASURED_TWICE = 0.1
NO_GROUP = 0.25
"""How often a place of a ring stays empty."""


@dataclass(frozen=True)
class Group:
    """What is put on a ring, and what it adds to the molecule.

    Attributes:
        smiles: from the atom that is bound to the ring.
        lipophilicity: added to the logarithm of the octanol-water partition coefficient (Crippen's scale).
        mass: in g/mol, less the hydrogen that leaves.
        atoms: other than hydrogen.
        rotatable: bonds that turn.
        aromatic: atoms in aromatic rings.
    """

    smiles: str
    lipophilicity: float
    mass: float
    atoms: int
    rotatable: int = 0
    aromatic: int = 0


@dataclass(frozen=True)
class Ring:
    """A ring with three places; two spellings of it, and what it is by itself (see `Group`)."""

    spellings: tuple[str, str]
    lipophilicity: float
    mass: float
    atoms: int
    aromatic: int


GROUPS = (
    Group("C", 0.31, 14.03, 1),
    Group("CC", 0.56, 28.05, 2, 1),
    Group("C(C)C", 1.12, 42.08, 3, 1),
    Group("CCCC", 1.34, 56.11, 4, 3),
    Group("OC", 0.01, 30.03, 2, 1),
    Group("OCC", 0.40, 44.05, 3, 2),
    Group("O", -0.29, 16.00, 1),
    Group("CCO", -0.47, 44.05, 3, 2),
    Group("N", -0.42, 15.02, 1),
    Group("N(C)C", 0.07, 43.07, 3, 1),
    Group("F", 0.14, 17.99, 1),
    Group("Cl", 0.65, 34.45, 1),
    Group("Br", 0.76, 78.90, 1),
    Group("C(F)(F)F", 1.02, 68.00, 4),
    Group("C#N", -0.13, 25.01, 2),
    Group("C(=O)O", -0.30, 44.01, 3, 1),
    Group("C(=O)N", -0.90, 43.03, 3, 1),
    Group("C(=O)OC", -0.21, 58.04, 4, 1),
    Group("S(N)(=O)=O", -1.35, 79.08, 4, 1),
    Group("[N+](=O)[O-]", -0.09, 45.00, 3, 1),
    Group("NC(C)=O", -0.04, 57.05, 4, 1),
    Group("c5ccccc5", 1.67, 76.10, 6, 1, 6),
    Group("N5CCOCC5", -0.16, 85.11, 6, 1),
    Group("CN5CCCCC5", 0.99, 97.16, 7, 2),
)
RINGS = (
    Ring(("c1c{0}cc{1}cc1{2}", "C1=C{0}C=C{1}C=C1{2}"), 1.69, 78.11, 6, 6),
    Ring(("n1c{0}cc{1}cc1{2}", "N1=C{0}C=C{1}C=C1{2}"), 1.08, 79.10, 6, 6),
    Ring(("c1c{0}cc2cc{1}ccc2c1{2}", "C1=C{0}C=C2C=C{1}C=CC2=C1{2}"), 2.84, 128.17, 10, 10),
    Ring(("n1c{0}cc2cc{1}ccc2c1{2}", "N1=C{0}C=C2C=C{1}C=CC2=C1{2}"), 2.23, 129.16, 10, 10),
    Ring(("[nH]1c{0}c{1}c2c1cccc2{2}", "N1C{0}=C{1}C2=C1C=CC=C2{2}"), 2.17, 117.15, 9, 9),
    Ring(("s1c{0}cc{1}c1{2}", "S1C{0}=CC{1}=C1{2}"), 1.75, 84.14, 5, 5),
    Ring(("o1c{0}cc{1}c1{2}", "O1C{0}=CC{1}=C1{2}"), 1.28, 68.07, 5, 5),
    Ring(("C1C{0}CC{1}CC1{2}", "C{2}1CC{0}CC{1}C1"), 2.34, 84.16, 6, 0),
    Ring(("N1C{0}CC{1}CC1{2}", "C{2}1CC{1}CC{0}N1"), 0.76, 85.15, 6, 0),
)
LIKED = (
    {"C(=O)O": 5, "C(=O)N": 3, "O": 4, "OC": 3},
    {"Cl": 5, "Br": 3, "F": 5, "C(F)(F)F": 4},
    {"N(C)C": 4, "N5CCOCC5": 4, "CN5CCCCC5": 3, "N": 3},
    {"C": 4, "CC": 4, "CCCC": 3, "c5ccccc5": 3, "S(N)(=O)=O": 3},
)
"""By hospital, how much likelier its chemists put these groups on a ring."""


def write(plan: HospitalPlan) -> Archive:
    """Write compounds.csv: one row a measurement, the compound as SMILES, and log_solubility in log10 of mol/L."""
    path = f"{NAME}/compounds.csv"
    (plan.folder / NAME).mkdir()
    table = measured(plan.random(NAME), plan.patients, LIKED[plan.index % len(LIKED)])
    table.to_csv(plan.folder / path, index=False, lineterminator="\n")
    return Archive(NAME, "molecules", path, plan.patients)


def measured(rng: np.random.Generator, compounds: int, liked: dict[str, int]) -> pd.DataFrame:
    """Draw compounds and measure them, some twice.

    Args:
        rng: of everything drawn.
        compounds: how many.
        liked: groups that are likelier than others, and how much.

    Returns:
        smiles and log_solubility, one row a measurement.
    """
    weights = np.array([liked.get(group.smiles, 1) for group in GROUPS], float)
    weights /= weights.sum()
    rows: list[tuple[str, float]] = []
    for _ in range(compounds):
        ring = RINGS[rng.integers(len(RINGS))]
        chosen = rng.choice(len(GROUPS), 3, p=weights)
        groups = [
            None if empty else GROUPS[number]
            for number, empty in zip(chosen, rng.random(3) < NO_GROUP, strict=True)
        ]
        truth = solubility(ring, groups)
        spellings = ring.spellings[: 1 + (rng.random() < MEASURED_TWICE)]
        errors = rng.normal(0, ASSAY_ERROR, len(spellings))
        rows += [
            (written(spelling, groups), round(truth + error, 2))
            for spelling, error in zip(spellings, errors, strict=True)
        ]
    return pd.DataFrame(rows, columns=["smiles", "log_solubility"])


def written(spelling: str, groups: list[Group | None]) -> str:
    """Return the SMILES of a ring with its groups."""
    return spelling.format(*(f"({group.smiles})" if group else "" for group in groups))


def solubility(ring: Ring, groups: list[Group | None]) -> float:
    """Return Delaney's estimate in log10 of mol/L."""
    parts = [group for group in groups if group is not None]
    lipophilicity = ring.lipophilicity + sum(part.lipophilicity for part in parts)
    mass = ring.mass + sum(part.mass for part in parts)
    atoms = ring.atoms + sum(part.atoms for part in parts)
    aromatic = ring.aromatic + sum(part.aromatic for part in parts)
    rotatable = sum(part.rotatable for part in parts)
    share = aromatic / atoms
    return 0.16 - 0.63 * lipophilicity - 0.0062 * mass + 0.066 * rotatable - 0.74 * share
