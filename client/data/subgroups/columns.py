"""Where each kind of data set keeps what is known of its patients: one value of a column for every patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from client.data import cells, tabular
from client.data.config import (
    DatasetConfig,
    DicomDataset,
    FusedDataset,
    SeriesDataset,
    TableDataset,
)
from client.data.config_base import TextFormat
from client.data.episodes.config import EpisodeDataset
from client.data.index.archive import Archive
from client.data.molecules.config import MoleculeDataset
from client.data.records.config import RecordDataset
from client.data.signals.config import SignalDataset
from client.data.subgroups.headers import COLUMNS, header_values
from client.data.table import patients_of

ROW = "\x1fpatient"
"""The column of patients that a table is given here: where it has none, every row is a patient."""


@dataclass(frozen=True)
class Known:
    """What a site knows of its patients in one column.

    Attributes:
        values: each patient's first known value, as text; the index names the patients.
        text: how these values are written.
    """

    values: pd.Series[Any]
    text: TextFormat


def column_of(dataset: DatasetConfig, name: str, archive: Archive | None) -> Known | None:
    """Return a column's first known value of every patient, or nothing where the site has no such column.

    Args:
        dataset: the site's description.
        name: the study's name of the column.
        archive: the index of DICOM files.

    Raises:
        DataError: a table cannot be read.
    """
    if isinstance(dataset, FusedDataset):
        found = (column_of(part, name, None) for part in dataset.parts.values())
        return next((known for known in found if known is not None), None)
    frame, patient = _frame(dataset)
    text = dataset if isinstance(dataset, TextFormat) else TextFormat()
    if frame is not None and text.local(name) in frame.columns:
        return Known(_first(frame[patient], frame[text.local(name)], dataset), text)
    if archive is not None and name in COLUMNS:
        # Headers have one way to write numbers, and ages in years, whatever the site's tables have.
        own = TextFormat(replace=text.replace)
        return Known(header_values(archive, name, list(archive.patients())), own)
    return None


def _frame(dataset: DatasetConfig) -> tuple[pd.DataFrame | None, str]:
    """Return the table that says whose each row is, and its column of patients."""
    if isinstance(dataset, TableDataset):
        return _table(dataset)
    if isinstance(dataset, MoleculeDataset) and dataset.patient is None:
        return None, ""  # compounds have no sex and no age
    if isinstance(dataset, EpisodeDataset | MoleculeDataset):
        frame = tabular.joined(tabular.read_table(dataset.path, dataset), dataset.join, dataset)
        where = str(dataset.path)
        return tabular.kept(frame, dataset.filter, where=where, text=dataset), str(dataset.patient)
    if isinstance(dataset, RecordDataset):
        text = dataset.model_copy(update={"header": None})
        frame = tabular.joined(tabular.read_table(dataset.outcomes, text), dataset.join, text)
        where = str(dataset.outcomes)
        return tabular.kept(frame, dataset.filter, where=where, text=text), dataset.patient
    if isinstance(dataset, DicomDataset | SignalDataset):
        labels = tabular.read_table(dataset.labels, dataset.model_copy(update={"header": None}))
        return _if_any(labels, dataset.local("patient_id"))
    if isinstance(dataset, SeriesDataset):
        return _series(dataset)
    return None, ""


def _table(dataset: TableDataset) -> tuple[pd.DataFrame, str]:
    frame = tabular.joined(tabular.read_table(dataset.path, dataset), dataset.join, dataset)
    frame = tabular.kept(frame, dataset.filter, where=str(dataset.path), text=dataset)
    frame = frame.reset_index(drop=True)
    return frame.assign(**{ROW: patients_of(frame, dataset)}), ROW


def _series(dataset: SeriesDataset) -> tuple[pd.DataFrame | None, str]:
    """Look into the joined tables, whose rows are patients; readings do not say who somebody is."""
    for join in dataset.join:
        text = dataset.model_copy(update={"header": None})
        frame = tabular.read_table(join.path, text)
        if dataset.patient in frame.columns:
            return frame, dataset.patient
        if tuple(join.on) == (dataset.patient,):
            return frame, join.on[0]
    return None, ""


def _if_any(frame: pd.DataFrame, patient: str) -> tuple[pd.DataFrame | None, str]:
    return (frame, patient) if patient in frame.columns else (None, "")


def _first(patients: pd.Series[Any], values: pd.Series[Any], dataset: Any) -> pd.Series[Any]:
    """Return each patient's first value that is not missing."""
    known = ~cells.is_missing(values, dataset)
    found = pd.Series(values[known].to_numpy(), index=patients[known].to_numpy(), dtype=str)
    return found[~found.index.duplicated()]
