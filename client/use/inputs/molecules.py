"""Molecules of a table; every row is a case, of which no target is looked for."""

from __future__ import annotations

import numpy as np

from client.data.molecules.config import MoleculeDataset
from client.data.molecules.source import read_rows, usable_molecules
from client.data.quarantine import QuarantineLog
from client.use.cases import Cases
from common.data_spec import MoleculeSpec


def read(dataset: MoleculeDataset, spec: MoleculeSpec) -> Cases:
    """Read the rows, joined and filtered as the site says; their names are the patients', else row numbers.

    Raises:
        DataError: the table cannot be read or lacks a column.
        MachineError: the package that reads molecules is not installed.
    """
    log = QuarantineLog()
    frame = read_rows(dataset, [spec.smiles], [dataset.patient])
    rows, inputs, _ = usable_molecules(frame, dataset, spec, (), log)
    numbers = (rows + 1).tolist()
    named = frame[dataset.patient].iloc[rows].tolist() if dataset.patient else map(str, numbers)
    return Cases(
        inputs=inputs,
        case=np.arange(len(rows)),
        names=list(named),
        about={"row": numbers},
        quarantine=log.result(),
    )
