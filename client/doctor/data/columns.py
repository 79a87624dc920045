"""Are the columns there that the study wants? All that are missing are named at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.data.patients import is_one_table
from client.doctor.data.unasked import unasked
from client.doctor.findings import Finding, Patient, green, red
from client.doctor.site_file import section
from common import plugins
from common.errors import ConsiliumError, DataError

if TYPE_CHECKING:
    from client.data.config import DatasetConfig
    from client.data.config_base import TextFormat
    from client.data.records.config import RecordDataset
    from client.doctor.data.look import StudyLook
    from common.data_spec import DataSpec, Feature, RecordSpec, Variable

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
    subgroups = look.study.evaluation.subgroups
    yield from unasked(section(patient.site, name), config, look.spec, subgroups)
    checked = 0
    for heading, table in _headed(section(patient.site, name), config, look.spec):
        known = _header(table.path, table.text)
        for other in table.joined:
            known += _header(other, _with_header(table.text))
        for local, setting in table.wanted.items():
            checked += 1
            if local not in known:
                look.hopeless = True
                yield _missing(heading, table.path, local, setting, known)
    if checked and not look.hopeless:
        yield green(f"all {checked} columns that the study wants are there")


def _headed(heading: str, config: DatasetConfig, spec: DataSpec) -> Iterator[tuple[str, _Table]]:
    """Yield each table with the heading of its data set in site.toml; of fused data, those of every part.

    What a part beside the target would be labelled with is not wanted.
    """
    if config.kind != "fused" or spec.kind != "fused":
        yield from ((heading, table) for table in _tables(config, spec))
        return
    for name, part in config.parts.items():
        wanted = spec.parts.get(name)
        labels = () if name == spec.target else getattr(wanted, "target_columns", ("label",))
        for table in () if wanted is None else _tables(part, wanted):
            unasked = {table.text.local(label) for label in labels}
            kept = {column: how for column, how in table.wanted.items() if column not in unasked}
            yield f"{heading[:-1]}.parts.{name}]", replace(table, wanted=kept)


@dataclass(frozen=True)
class _Table:
    """A table of the data set.

    Attributes:
        path: where it lies.
        text: how it is written.
        wanted: the columns that must be there → the setting of site.toml that names them.
        joined: tables whose columns are added.
    """

    path: Path
    text: TextFormat
    wanted: dict[str, str]
    joined: tuple[Path, ...] = ()


def _tables(config: DatasetConfig, spec: DataSpec) -> Iterator[_Table]:
    """Yield each table whose columns the study needs."""
    if config.kind == "table" and spec.kind == "table":
        wanted = _inputs(config, [*_names(spec.features, config.absent), spec.target])
        wanted |= _own(config, "patient", "split")
        yield _Table(config.path, config, wanted, tuple(join.path for join in config.join))
    elif config.kind == "molecules" and spec.kind == "molecules":
        wanted = _inputs(config, [spec.smiles, spec.target]) | _own(config, "patient", "split")
        yield _Table(config.path, config, wanted, tuple(join.path for join in config.join))
    elif config.kind == "episodes" and spec.kind == "episodes":
        wanted = _inputs(config, [*_names(spec.features, config.absent), *spec.columns])
        wanted |= _own(config, "patient", "episode", "order", "split")
        yield _Table(config.path, config, wanted, tuple(join.path for join in config.join))
    elif config.kind == "records" and spec.kind == "records":
        yield from _records(config, spec)
    elif config.kind == "series" and is_one_table(config.path):
        keys = ["time", "value", "record", *(["patient"] if config.patient != "<file>" else [])]
        joined = tuple(join.path for join in config.join)
        yield _Table(config.path, config, _own(config, *keys), joined)
    elif config.kind == "dicom" and spec.kind == "dicom" and spec.labels == "class":
        names = ["patient_id", "label", *(_POINT if spec.centre == "point" else ())]
        yield _Table(config.labels, config, _inputs(config, names))
    elif config.kind == "signals":
        names = [] if config.annotations else ["label"]
        names += ["patient_id", "record"] if config.patient == "<labels>" else []
        yield _Table(config.labels, _with_header(config), _inputs(config, names))


def _records(config: RecordDataset, spec: RecordSpec) -> Iterator[_Table]:
    """Yield the table of outcomes, and the readings."""
    wanted = _inputs(config, [*_names(spec.features, config.absent), spec.target])
    wanted |= _own(config, "record", "patient", "anchor", "outcome_time", "split")
    joined = tuple(join.path for join in config.join)
    yield _Table(config.outcomes, _with_header(config), wanted, joined)
    readings = _own(config, "record", "time", "variable", "value")
    if config.variable is None:  # wide: a column a variable
        readings |= _inputs(config, _names(spec.variables, config.absent))
    yield _Table(config.path, config, readings)


def _names(quantities: Iterable[Feature | Variable], absent: Sequence[str]) -> list[str]:
    return [each.name for each in quantities if each.name not in absent]


def _inputs(config: TextFormat, names: Iterable[str]) -> dict[str, str]:
    """Columns that the study names."""
    return {config.local(name): f'columns = {{ "{name}" = "YOUR COLUMN" }}' for name in names}


def _own(config: TextFormat, *keys: str) -> dict[str, str]:
    """Columns that site.toml itself names."""
    found = {key: getattr(config, key) for key in keys}
    return {column: f'{key} = "YOUR COLUMN"' for key, column in found.items() if column is not None}


def _with_header(text: TextFormat) -> TextFormat:
    """Of tables beside the readings, which have a header line whatever the readings have."""
    return text.model_copy(update={"header": None})


def _header(path: Path, text: TextFormat) -> list[str]:
    """Return the names of a table's columns; its rows are not read."""
    from client.data import tabular

    block = next(iter(tabular.blocks(path, text, (), rows=1)))
    return [str(column) for column in block.attrs["columns"]]


def _missing(heading: str, path: Path, local: str, setting: str, known: Iterable[str]) -> Finding:
    listed = list(known)
    if len(listed) <= 1:
        fix = f"The table has a single column: check {heading} separator."
    else:
        fix = f"{plugins.nearest(local, listed)}Set {heading} {setting}."
    return red(f"The column '{local}' is not in {path.name}.", fix, kind=DataError)
