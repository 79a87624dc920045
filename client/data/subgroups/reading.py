"""Reads the subgroups of a site's patients."""

from __future__ import annotations

from collections.abc import Sequence

from client.data.config import DatasetConfig
from client.data.index.archive import Archive
from client.data.samples import PatientGroups
from client.data.subgroups.columns import column_of
from client.data.subgroups.numbering import NOWHERE, group_numbers
from common.data_spec import DataSpec, FusedSpec
from common.subgroups import Subgroup


def read_groups(
    dataset: DatasetConfig,
    spec: DataSpec,
    subgroups: Sequence[Subgroup],
    archive: Archive | None,
) -> PatientGroups:
    """Return the group of every patient in each subgroup; a column that the site lacks makes everybody unknown.

    Args:
        dataset: the site's description.
        spec: what the study says of the data, units of columns among it.
        subgroups: the study's.
        archive: the index of DICOM files; none for other data.

    Raises:
        DataError: a table cannot be read, or a unit cannot be converted.
    """
    numbers: dict[str, list[int]] = {}
    notes = []
    for place, subgroup in enumerate(subgroups):
        known = column_of(dataset, subgroup.source, archive)
        if known is None:
            notes.append(
                f"There is no column '{subgroup.source}': in the subgroup '{subgroup.name}' all patients are unknown."
            )
            continue
        unit = _unit(spec, subgroup.source)
        found = group_numbers(known.values, subgroup, known.text, unit)
        if (found == NOWHERE).all():
            notes.append(
                f"No value of '{subgroup.source}' is in a group of the subgroup '{subgroup.name}': all patients are "
                f"unknown. 'replace.{subgroup.source}' in site.toml translates."
            )
        for patient, number in zip(known.values.index, found, strict=True):
            numbers.setdefault(str(patient), [NOWHERE] * len(subgroups))[place] = int(number)
    return PatientGroups(numbers, len(subgroups), tuple(notes))


def _unit(spec: DataSpec, column: str) -> str:
    """Return the unit of a column's bands: the study's where the column is an input; else age has years."""
    parts = spec.parts.values() if isinstance(spec, FusedSpec) else (spec,)
    for part in parts:
        for one in (*getattr(part, "features", ()), *getattr(part, "variables", ())):
            if one.name == column and one.unit:
                return str(one.unit)
    return "a" if column == "age" else ""
