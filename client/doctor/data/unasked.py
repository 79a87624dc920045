"""Are the columns that site.toml speaks of the study's? A slip of the pen would be passed over in silence."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from client.doctor.findings import Finding, amber

if TYPE_CHECKING:
    from client.data.config import DatasetConfig
    from common.data_spec import DataSpec
    from common.subgroups import Subgroup

SETTINGS = ("columns", "units", "scale", "offset", "replace", "absent")
LIKE = 0.75
"""Share of the letters in which two names agree of which one is taken for a slip of the other."""
_LABELS = ("record", "patient_id", "label", "split", "start_seconds", "end_seconds")


def unasked(
    heading: str, config: DatasetConfig, spec: DataSpec, subgroups: Collection[Subgroup]
) -> Iterator[Finding]:
    """Yield an amber line for each name that is nearly one of the study's.

    Names that are like none of them stay unsaid: other studies may want them. Of readings there is one column, so of a
    series they are said.
    """
    if config.kind == "fused" and spec.kind == "fused":
        for name in config.parts:
            if name in spec.parts:
                inner = f"{heading[:-1]}.parts.{name}]"
                yield from unasked(inner, config.parts[name], spec.parts[name], subgroups)
        return
    names = _names(spec) | {subgroup.source for subgroup in subgroups}
    for setting in SETTINGS if spec.kind not in ("dicom", "arrays", "fused") else ():
        stated = getattr(config, setting, ())
        for name in stated if isinstance(stated, Mapping | tuple) else ():
            fix = "" if name in names else _fix(name, names.difference(stated), setting, spec.kind)
            if fix:
                what = f"{heading} {setting} names '{name}', but the study has no such column."
                yield amber(what, fix)


def _names(spec: DataSpec) -> set[str]:
    """Return what the study calls its columns."""
    found = set({"series": ("value",), "signals": _LABELS}.get(spec.kind, ()))
    for kind in ("features", "variables", "channels"):
        quantities = getattr(spec, kind, ())
        found |= {each.name for each in quantities} if isinstance(quantities, tuple) else set()
    found |= {*getattr(spec, "target_columns", ()), *getattr(spec, "columns", ())}
    return found | ({spec.smiles} if spec.kind == "molecules" else set())


def _fix(name: str, free: Collection[str], setting: str, kind: str) -> str:
    close = difflib.get_close_matches(name, free, n=1, cutoff=LIKE)
    if close:
        return f"Did you mean '{close[0]}'? As it stands, the setting does nothing."
    if kind == "series" and setting == "columns":
        return "Nothing here has it: time, value and patient name the columns of a series."
    if kind == "series":
        return f"The readings of a series are called value here: {setting} = {{ value = … }}."
    return ""
