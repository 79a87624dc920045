"""Reads the subgroups of a site's patients."""

from __future__ import annotations

from collections.abc import Sequence

from client.data.config import DatasetConfig
from client.data.config_base import TextFormat
from client.data.index.archive import Archive
from client.data.samples import PatientGroups
from client.data.subgroups.columns import column_of
from client.data.subgroups.numbering import NOWHERE, group_numbers
from common.subgroups import Subgroup


def read_groups(
    dataset: DatasetConfig, subgroups: Sequence[Subgroup], archive: Archive | None
) -> PatientGroups:
    """Return the group of every patient in each subgroup; a column that the site lacks makes everybody unknown.

    Args:
        dataset: the site's description.
        subgroups: the study's.
        archive: the index of DICOM files; none for other data.

    Raises:
        DataError: a table cannot be read.
    """
    numbers: dict[str, list[int]] = {}
    notes = []
    for place, subgroup in enumerate(subgroups):
        values = column_of(dataset, subgroup.source, archive)
        if values is None:
            notes.append(
                f"There is no column '{subgroup.source}': in the subgroup '{subgroup.name}' all patients are unknown."
            )
            continue
        text = dataset if isinstance(dataset, TextFormat) else TextFormat()
        found = group_numbers(values, subgroup, text)
        for patient, number in zip(values.index, found, strict=True):
            numbers.setdefault(str(patient), [NOWHERE] * len(subgroups))[place] = int(number)
    return PatientGroups(numbers, len(subgroups), tuple(notes))
