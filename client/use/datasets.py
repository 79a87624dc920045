"""Describes new data to the readers: as the site's own data set is described, or by the study's own names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from client.data.config import DatasetConfig
from client.site import Site
from client.use.parts import HOW, describe_parts
from common.data_spec import DataSpec, FusedSpec
from common.errors import DataError, StudyError


@dataclass(frozen=True)
class Beside:
    """Files beside the input.

    Attributes:
        points: a table with the point of interest of every patient.
        masks: segmentations to crop round.
        records: the table with one row a record.
        case: column of a table that names its rows, or of whose they are.
        parts: of fused data, `NAME=PATH` of every part, and `NAME.KEY=PATH` of files beside it.
    """

    points: Path | None = None
    masks: Path | None = None
    records: Path | None = None
    case: str | None = None
    parts: tuple[str, ...] = ()


def describe(path: Path | None, spec: DataSpec, site: Site | None, beside: Beside) -> DatasetConfig:
    """Return the description of new data.

    Args:
        path: where they are; none: in parts, or nowhere.
        spec: the study's `[data]`.
        site: the house, whose names of columns, units and words hold for new data, too; none: the study's own.
        beside: more files.

    Raises:
        DataError: there is nothing at the path.
        StudyError: the site has no such data set, the kind of data needs a site's description, or nothing is given.
    """
    if isinstance(spec, FusedSpec):
        if path is not None:
            raise StudyError(
                "Data of kind 'fused' lie in several places.", where="INPUT", fix=f"Give {HOW}"
            )
        return describe_parts(beside.parts, spec, site, beside.case)
    if beside.parts:
        raise StudyError(
            f"Data of kind '{spec.kind}' have no parts.", where="--part", fix="Give their path."
        )
    if path is None:
        raise StudyError("There are no data.", where="INPUT", fix="Give their path.")
    if not path.exists():
        raise DataError("There is no such file or folder.", where=str(path))
    return _at(path, spec, site, beside)


def _at(path: Path, spec: DataSpec, site: Site | None, beside: Beside) -> DatasetConfig:
    """Return the description of data at a path: the site's own at another one, or one by the study's names."""
    changes = _changes(path, spec, beside)
    if site is not None:
        return site.dataset(spec).model_copy(update=changes)
    if spec.kind == "records":
        raise StudyError(
            "Records differ too much from house to house to be read without a description.",
            where="--site",
            fix="Give the site's folder, whose site.toml describes its records.",
        )
    content = {"kind": spec.kind, "declared_patients": 1} | changes
    if spec.kind in ("dicom", "signals"):
        content.setdefault("labels", path)
    found: DatasetConfig = TypeAdapter(DatasetConfig).validate_python(content)
    return found


def _changes(path: Path, spec: DataSpec, beside: Beside) -> dict[str, Any]:
    """Return what is new beside the site's description."""
    found: dict[str, Any] = {"path": path.resolve()}
    if spec.kind == "dicom":
        found["labels"] = (beside.points or path).resolve()
        found["masks"] = beside.masks.resolve() if beside.masks else None
    if spec.kind == "records" and beside.records is not None:
        found["outcomes"] = beside.records.resolve()
    if spec.kind in ("table", "episodes", "molecules") and beside.case is not None:
        found["patient"] = beside.case
    return found
