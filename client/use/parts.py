"""Describes new data of several kinds to the readers: one file or folder a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from client.data.config import FusedDataset, OrdinaryDataset
from client.site import Site
from common.data_spec import FusedSpec
from common.errors import DataError, StudyError
from common.plugins import nearest

BESIDE = {"dicom": ("labels", "masks"), "signals": ("labels",), "records": ("outcomes",)}
"""Keys of a part, by its kind, that name a file beside the one at its path."""
PATIENT = "patient_id"
"""The column that names the patient in a table that no site describes."""
HOW = "--part NAME=PATH, once a part; NAME.KEY=PATH for a file beside it (docs/tasks/fusion.md)."

Files = Mapping[str, Path]
_ORDINARY: TypeAdapter[Any] = TypeAdapter(OrdinaryDataset)


def describe_parts(
    given: Sequence[str], spec: FusedSpec, site: Site | None, patient: str | None
) -> FusedDataset:
    """Return the description of new data of several kinds.

    Args:
        given: `NAME=PATH` of each part, and `NAME.KEY=PATH` of files beside it.
        spec: the study's `[data]`.
        site: the house, whose names of columns, units and words hold; none: the study's own.
        patient: the column of tables that names the patient; none: as the site says, else `patient_id`.

    Raises:
        StudyError: there is no such part, or a part's kind needs a site's description.
        DataError: there is nothing at a path, or nothing of the part that everybody must have.
    """
    files = _files(given, spec)
    if spec.target not in files:
        raise DataError(
            f"There is no part '{spec.target}', and whoever taught the model had it.",
            where="--part",
            fix=f"Add --part {spec.target}=PATH.",
        )
    own = site.dataset(spec) if site is not None else None
    known = own.parts if isinstance(own, FusedDataset) else {}
    parts = {
        name: _part(name, str(spec.parts[name].kind), paths, known.get(name), patient)
        for name, paths in files.items()
    }
    absent = tuple(name for name in spec.parts if name not in parts)
    return FusedDataset(kind="fused", declared_patients=1, parts=parts, absent=absent)


def _files(given: Sequence[str], spec: FusedSpec) -> dict[str, dict[str, Path]]:
    """Return by part and key what was given."""
    found: dict[str, dict[str, Path]] = {}
    for text in given:
        left, separator, path = text.partition("=")
        name, _, key = left.partition(".")
        if not separator or not path:
            raise StudyError(f"'{text}' names no path.", where="--part", fix=f"Give {HOW}")
        if name not in spec.parts:
            raise StudyError(
                f"The study has no part '{name}'.",
                where="--part",
                fix=f"{nearest(name, spec.parts)}It has: {', '.join(sorted(spec.parts))}.",
            )
        found.setdefault(name, {})[_key(key, str(spec.parts[name].kind), name)] = _there(path)
    for name, paths in found.items():
        if "path" not in paths:
            raise StudyError(f"Part '{name}' has no path.", where="--part", fix=f"Give {HOW}")
    return found


def _key(key: str, kind: str, part: str) -> str:
    """Return the key of the description that is meant."""
    known = BESIDE.get(kind, ())
    if key and key not in known:
        raise StudyError(
            f"Part '{part}', of kind '{kind}', takes no file '{key}'.",
            where="--part",
            fix=f"It takes: {', '.join(known) or 'a path only'}.",
        )
    return key or "path"


def _there(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.exists():
        raise DataError("There is no such file or folder.", where=text)
    return path.resolve()


def _part(name: str, kind: str, paths: Files, known: Any, patient: str | None) -> Any:
    """Return the description of a part: the site's own with other paths, or one by the study's names."""
    rows = kind in ("table", "molecules")
    named = {"patient": patient} if rows and patient is not None else {}
    content: dict[str, Any] = {"declared_patients": 1, **paths, **named}
    if kind == "dicom":  # a table of labels is asked for its points alone
        content = {"labels": paths["path"], "masks": None} | content
    if known is not None:
        found = known.model_copy(update={"population": None} | content)
    elif kind == "records":
        raise StudyError(
            f"Part '{name}': records differ too much from house to house to be read without a description.",
            where="--site",
            fix="Give the site's folder, whose site.toml describes its records.",
        )
    else:
        usual: dict[str, Any] = {"patient": PATIENT} if rows else {}
        if kind == "signals":
            usual = {"labels": paths["path"]}
        content = usual | content
        found = _ORDINARY.validate_python({"kind": kind, **content})
    if kind == "signals" and found.patient == "<labels>" and "labels" not in paths:
        raise StudyError(
            f"Part '{name}' does not say whose its recordings are.",
            where="--part",
            fix=f"Add --part {name}.labels=FILE, a table with the columns record and patient_id.",
        )
    return found
