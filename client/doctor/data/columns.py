"""Are the columns there that the study wants? All that are missing are named at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.data.patients import is_one_table
from client.doctor.findings import Finding, Patient, green, red
from common import plugins
from common.errors import ConsiliumError, DataError

if TYPE_CHECKING:
    from client.data.config import DatasetConfig
    from client.data.config_base import TextFormat
    from client.doctor.data.look import StudyLook
    from common.data_spec import DataSpec

_POINT = ("x_mm", "y_mm", "z_mm")


def check(patient: Patient) -> Iterator[Finding]:
    """Compare the study's columns with the headers of the site's tables."""
    if patient.look is None or patient.look.hopeless:
        return
    try:
        yield from _compared(patient, patient.look)
    except ConsiliumError:
        patient.look.hopeless = True  # the cohort would say the same
        raise


def _compared(patient: Patient, look: StudyLook) -> Iterator[Finding]:
    name, config = look.dataset(patient.site)
    checked = 0
    for path, wanted, joined in _tables(config, look.spec):
        known = _header(path, config)  # type: ignore[arg-type]
        for other in joined:
            known += _header(other, config)  # type: ignore[arg-type]
        for study_name, local in wanted.items():
            checked += 1
            if local not in known:
                look.hopeless = True
                yield _missing(name, path, study_name, local, known)
    if checked and not look.hopeless:
        yield green(f"all {checked} columns that the study wants are there")


def _tables(
    config: DatasetConfig, spec: DataSpec
) -> Iterator[tuple[Path, dict[str, str], list[Path]]]:
    """Yield each table with its columns, the study's name → the site's, and the tables joined to it."""
    if config.kind == "table" and spec.kind == "table":
        features = [each.name for each in spec.features if each.name not in config.absent]
        wanted = {each: config.local(each) for each in [*features, spec.target]}
        wanted |= _own(config.patient, config.split)
        yield config.path, wanted, [join.path for join in config.join]
    elif config.kind == "records" and spec.kind == "records":
        features = [each.name for each in spec.features if each.name not in config.absent]
        wanted = {each: config.local(each) for each in [*features, spec.target]}
        wanted |= _own(config.record, config.patient, config.anchor, config.split)
        yield config.outcomes, wanted, [join.path for join in config.join]
    elif config.kind == "series" and is_one_table(config.path):
        patient = config.patient if config.patient != "<file>" else None
        joined = [join.path for join in config.join]
        yield config.path, _own(config.time, config.value, config.record, patient), joined
    elif config.kind == "dicom" and spec.kind == "dicom":
        names = ["patient_id", "label", *(_POINT if spec.centre == "point" else ())]
        yield config.labels, {each: config.local(each) for each in names}, []
    elif config.kind == "signals":
        names = ["label", *(["patient_id"] if config.patient == "<labels>" else [])]
        yield config.labels, {each: config.local(each) for each in names}, []


def _own(*columns: str | None) -> dict[str, str]:
    """Columns that site.toml itself names."""
    return {column: column for column in columns if column is not None}


def _header(path: Path, text: TextFormat) -> list[str]:
    """Return the names of a table's columns; its rows are not read."""
    from client.data import tabular

    block = next(iter(tabular.blocks(path, text, (), rows=1)))
    return [str(column) for column in block.attrs["columns"]]


def _missing(name: str, path: Path, wanted: str, local: str, known: Iterable[str]) -> Finding:
    listed = list(known)
    if len(listed) <= 1:
        fix = f"The table has a single column: check [data.{name}] separator."
    else:
        hint = plugins.nearest(local, listed)
        fix = f'{hint}Map it: [data.{name}] columns = {{ "{wanted}" = "YOUR COLUMN" }}.'
    return red(f"The column '{local}' is not in {path.name}.", fix, kind=DataError)
