"""Molecules of a table; every row is a case, of which no target is looked for."""

from __future__ import annotations

import numpy as np

from client.data.molecules.config import MoleculeDataset
from client.data.molecules.source import unlabelled
from client.use.cases import Cases
from common.data_spec import MoleculeSpec


def read(dataset: MoleculeDataset, spec: MoleculeSpec) -> Cases:
    """Read the rows, joined and filtered as the site says; their names are the patients', else row numbers.

    Raises:
        DataError: the table cannot be read or lacks a column.
        MachineError: the package that reads molecules is not installed.
    """
    found = unlabelled(dataset, spec)
    return Cases(
        inputs=found.raw.inputs,
        case=np.arange(len(found.rows)),
        names=found.raw.patients,
        about={"row": found.rows.tolist()},
        smiles={"": found.smiles},
        quarantine=found.raw.quarantine,
    )
