"""Molecules: a table with a row a molecule becomes fingerprints or graphs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.molecules.config import MoleculeDataset
from client.data.molecules.reading import draw_all
from client.data.quarantine import QuarantineLog
from client.data.samples import RawSamples
from client.data.split import declared_splits
from client.data.target_column import TargetColumn
from common.data_spec import MoleculeSpec

Bad = tuple[str, NDArray[np.bool_]]


class MoleculeSource:
    """Reads `kind = "molecules"`."""

    def load(
        self, dataset: MoleculeDataset, spec: MoleculeSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read the table and draw its molecules (see `Source.load`)."""
        where, log = str(dataset.path), QuarantineLog()
        frame = read_rows(dataset, [spec.smiles, spec.target], [dataset.patient, dataset.split])
        target = TargetColumn.read(frame, spec, dataset, where=where)
        rows, inputs, compounds = usable_molecules(frame, dataset, spec, target.faults(), log)
        frame = frame.iloc[rows]
        targets, notes = target.encoded(rows, classes)
        patients = list(compounds) if dataset.patient is None else frame[dataset.patient].tolist()
        return RawSamples(
            inputs=inputs,
            targets=targets,
            patients=patients,
            splits=_splits(frame, patients, dataset),
            quarantine=log.result(),
            notes=notes,
        )


@dataclass(frozen=True)
class Unlabelled:
    """Molecules without a target.

    Attributes:
        raw: the samples; without a column of patients they are named by their row numbers.
        rows: numbers of their rows, from 1.
        smiles: of every sample.
    """

    raw: RawSamples
    rows: NDArray[np.int64]
    smiles: Sequence[str] = field(repr=False)


def unlabelled(dataset: MoleculeDataset, spec: MoleculeSpec) -> Unlabelled:
    """Read the usable molecules of a table, joined and filtered as the site says; no target is looked for.

    Raises:
        DataError: the table cannot be read or lacks a column.
        MachineError: the package that reads molecules is not installed.
    """
    log = QuarantineLog()
    frame = read_rows(dataset, [spec.smiles], [dataset.patient])
    places, inputs, _ = usable_molecules(frame, dataset, spec, (), log)
    frame, rows = frame.iloc[places], places + 1
    named = frame[dataset.patient].tolist() if dataset.patient else rows.astype(str).tolist()
    raw = RawSamples(
        inputs=inputs,
        targets=np.zeros(len(rows)),
        patients=named,
        quarantine=log.result(),
        nameless=dataset.patient is None,
    )
    return Unlabelled(raw, rows, frame[dataset.local(spec.smiles)].tolist())


def read_rows(
    dataset: MoleculeDataset, names: Sequence[str], keys: Sequence[str | None]
) -> pd.DataFrame:
    """Read the table with its joins and its filter, and check that all columns are there.

    Args:
        dataset: the site's description.
        names: the study's names of the columns that are needed.
        keys: the site's own names of others; none: not needed.

    Raises:
        DataError: the table cannot be read, or a column is not there.
    """
    where = str(dataset.path)
    frame = tabular.joined(tabular.read_table(dataset.path, dataset), dataset.join, dataset)
    frame = tabular.kept(frame, dataset.filter, where=where, text=dataset)
    local = [dataset.local(name) for name in names]
    tabular.require(frame, [*local, *filter(None, keys)], where=where, text=dataset)
    return frame.reset_index(drop=True)


def usable_molecules(
    frame: pd.DataFrame,
    dataset: MoleculeDataset,
    spec: MoleculeSpec,
    bad: Iterable[Bad],
    log: QuarantineLog,
) -> tuple[NDArray[np.int64], NDArray[np.float32], Sequence[str]]:
    """Draw the molecules of all rows that can be used; the others are noted by their number, never by their SMILES.

    Args:
        frame: the table.
        dataset: the site's description.
        spec: the study's `[data]`.
        bad: further reasons to leave rows out, with the rows that have them.
        log: what is left out, and why.

    Returns:
        numbers of the rows [n], their samples [n, …], the keys of their compounds [n].
    """
    smiles = frame[dataset.local(spec.smiles)]
    reasons: list[Bad] = [("no SMILES", cells.is_missing(smiles, dataset)), *bad]
    if dataset.patient is not None:
        reasons.insert(0, ("no patient id", cells.is_missing(frame[dataset.patient], dataset)))
    usable = np.ones(len(frame), dtype=np.bool_)
    for reason, found in reasons:
        for row in np.flatnonzero(found & usable):
            _leave_out(log, dataset, int(row), reason)
        usable &= ~found
    rows = np.flatnonzero(usable)
    drawn = draw_all(smiles.iloc[rows].tolist(), spec)
    for number, reason in drawn.refused:
        _leave_out(log, dataset, int(rows[number]), reason)
    return rows[drawn.rows], drawn.inputs, drawn.compounds


def _leave_out(log: QuarantineLog, dataset: MoleculeDataset, row: int, reason: str) -> None:
    log.add(f"{dataset.path.name} row {row + 1}", reason)


def _splits(
    frame: pd.DataFrame, patients: Sequence[str], dataset: MoleculeDataset
) -> dict[str, str] | None:
    if dataset.split is None:
        return None
    pairs = zip(patients, frame[dataset.split], strict=True)
    return dict(declared_splits(pairs, where=f"{dataset.path}, column '{dataset.split}'"))
