"""Several kinds of data of the same patients; every patient who has the part with the target is a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from client.data.config import FusedDataset
from client.data.fused import as_seen, parts_here, put_together, rows_of_part, without_labels
from client.data.molecules.source import unlabelled
from client.data.samples import RawSamples
from client.use.cases import Cases, from_raw
from client.use.inputs import arrays, dicom
from common.data_spec import FusedSpec
from common.errors import DataError


def read(dataset: FusedDataset, spec: FusedSpec) -> Cases:
    """Read every part without labels and put the patients together, as for training.

    Raises:
        DataError: a part cannot be read, or does not say whose it is.
    """
    found: dict[str, RawSamples] = {}
    smiles: dict[str, Sequence[str]] = {}
    for name in parts_here(dataset, spec):
        try:
            raw, written = _samples(dataset.parts[name], spec.parts[name])
        except DataError as error:
            where = f"part '{name}', {error.where}"
            raise DataError(error.what, where=where, fix=error.fix) from None
        found[name] = as_seen(name, raw, spec)
        if written:
            smiles[name] = written
    cases = from_raw(put_together(found, spec))
    chosen = {
        name: [written[row] if row >= 0 else "" for row in rows_of_part(name, found, spec)]
        for name, written in smiles.items()
    }
    return replace(cases, smiles=chosen)


def _samples(dataset: Any, part: Any) -> tuple[RawSamples, Sequence[str]]:
    """Return a part's samples, and of molecules the SMILES of each."""
    if dataset.kind == "arrays":
        return arrays.samples(dataset, part), ()
    if dataset.kind == "dicom":
        return _raw(dicom.read(dataset, part)), ()
    if dataset.kind == "molecules":
        molecules = unlabelled(dataset, part)
        return molecules.raw, molecules.smiles
    return without_labels(dataset, part), ()


def _raw(cases: Cases) -> RawSamples:
    return RawSamples(
        inputs=cases.inputs,
        targets=np.zeros(len(cases.case)),
        patients=[cases.names[number] for number in cases.case.tolist()],
        quarantine=cases.quarantine,
        notes=cases.notes,
    )
