"""Who is a patient? A column that names none, or that names every row anew, protects rows instead of patients."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.findings import Finding, Patient, amber, green
from client.doctor.site_file import section
from common.errors import ConsiliumError

if TYPE_CHECKING:
    from client.data.config import ArrayDataset, DatasetConfig
    from client.data.config_base import TextFormat

LEAST_ROWS = 20
"""With fewer rows nothing can be told."""
LOOKED_AT = 200_000
_NONE = "every row counts as a patient of its own"


def check(patient: Patient) -> Iterator[Finding]:
    """Look at every data set's patients."""
    for name, config in sorted(patient.site.datasets.items()):
        try:
            yield from _of(name, config, section(patient.site, name))
        except (ConsiliumError, OSError, zipfile.BadZipFile):
            continue  # what cannot be read is another check's line


def _of(name: str, config: DatasetConfig, heading: str) -> Iterator[Finding]:
    if config.kind == "arrays":
        yield from _arrays(name, config)
    elif config.kind == "table":
        if config.patient is None:
            yield amber(
                f"data set '{name}': no patient column is named, so {_NONE}.",
                f"If a patient can have several rows, set {heading} patient to the column that says whose.",
            )
        else:
            yield from _column(name, config.path, config, config.patient, "row")
    elif config.kind == "molecules":
        if config.patient is None:
            yield green(
                f"data set '{name}': no patient column is named, so each compound is protected."
            )
        else:
            yield from _column(name, config.path, config, config.patient, "molecule")
    elif config.kind == "records":
        yield from _column(name, config.outcomes, config, config.patient, "record")
    elif config.kind == "series" and config.patient != "<file>" and is_one_table(config.path):
        yield from _column(name, config.path, config, config.patient, "reading")


def is_one_table(path: Path) -> bool:
    """Tell a single table from a folder or archive of many."""
    return path.is_file() and path.suffix.casefold() != ".zip"


def _arrays(name: str, config: ArrayDataset) -> Iterator[Finding]:
    with zipfile.ZipFile(config.path) as archive:
        inside = {Path(member).stem for member in archive.namelist()}
    if not any(f"{split}{config.patients}" in inside for split in ("", "train_", "test_", "val_")):
        yield amber(
            f"data set '{name}': the file names no patients, so every image counts as a patient of its own.",
            f"If a patient can have several images, add an array '{config.patients}' with one entry an image.",
        )


def _column(name: str, path: Path, text: TextFormat, column: str, what: str) -> Iterator[Finding]:
    """Say when a column has another value in every row."""
    from client.data import tabular

    block = next(iter(tabular.blocks(path, text, [column], rows=LOOKED_AT)))
    if column not in block.columns or len(block) < LEAST_ROWS:
        return
    values = block[column]
    if values.nunique() < len(values):
        return
    numbered = (
        values.str.fullmatch(r"[0-9]+").all() and (values.astype(float).diff()[1:] == 1).all()
    )
    looks = ", and they count up: it looks like a row number" if numbered else ""
    yield amber(
        f"data set '{name}': every {what} has a patient of its own in the column '{column}'{looks}.",
        f"See that it identifies patients, not rows or visits: else ε protects a {what}, not a patient.",
    )
