"""Converts a site's units to the study's. What cannot be converted is refused, never guessed.

Amount and mass of a substance (mmol/L and mg/dL) are not converted: the factor differs from substance to substance,
so the site states it as `scale`.
"""

from __future__ import annotations

from dataclasses import dataclass

from client.data.config_base import TextFormat
from common.data_spec.follow_up import MINUTES
from common.errors import DataError

# One row a dimension: unit → (factor, offset) to the row's first unit.
_LINEAR: tuple[dict[str, float], ...] = (
    {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9},
    {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9},
    {"Pa": 1.0, "kPa": 1e3, "mmHg": 133.322387, "cmH2O": 98.0665, "mbar": 100.0, "bar": 1e5},
    {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "in": 0.0254, "ft": 0.3048},
    {"kg": 1.0, "g": 1e-3, "mg": 1e-6, "ug": 1e-9, "lb": 0.45359237},
    {"L": 1.0, "dL": 0.1, "mL": 1e-3, "uL": 1e-6},
    {"s": 1.0, "ms": 1e-3, **{unit: 60 * length for unit, length in MINUTES.items()}},
    {"Hz": 1.0, "/s": 1.0, "/min": 1 / 60, "bpm": 1 / 60},
    {"1": 1.0, "%": 1e-2},
    {"g/L": 1.0, "g/dL": 10.0, "mg/L": 1e-3, "mg/dL": 1e-2, "ug/L": 1e-6, "ng/mL": 1e-6},
    {"mol/L": 1.0, "mmol/L": 1e-3, "umol/L": 1e-6, "nmol/L": 1e-9, "mEq/L": 1e-3},
    {"/L": 1.0, "10^9/L": 1e9, "10^3/uL": 1e9, "/uL": 1e6},
)
_TEMPERATURE = {"C": (1.0, 0.0), "K": (1.0, -273.15), "F": (5 / 9, -160 / 9)}
_UNITS = [{unit: (factor, 0.0) for unit, factor in row.items()} for row in _LINEAR]
_UNITS.append(_TEMPERATURE)


@dataclass(frozen=True)
class Conversion:
    """study = site × factor + offset."""

    factor: float = 1.0
    offset: float = 0.0


def conversion(name: str, study_unit: str, text: TextFormat, *, where: str) -> Conversion:
    """Return how one column's values become the study's.

    Args:
        name: the study's name of the column.
        study_unit: its unit in the study; empty: not stated.
        text: what the site says of it; `scale` and `offset` come before `units`.
        where: for the message.

    Raises:
        DataError: the site's unit cannot be converted.
    """
    if name in text.scale or name in text.offset:
        return Conversion(text.scale.get(name, 1.0), text.offset.get(name, 0.0))
    return between(text.units.get(name, ""), study_unit, name=name, where=where)


def between(unit: str, study_unit: str, *, name: str, where: str) -> Conversion:
    """Convert between two units; one that is not stated is taken for the other.

    Raises:
        DataError: they differ and are not two units of one dimension.
    """
    own, other = _plain(unit), _plain(study_unit)
    if not own or not other or own == other:
        return Conversion()
    for row in _UNITS:
        if own in row and other in row:
            (factor, offset), (back, shift) = row[own], row[other]
            return Conversion(factor / back, (offset - shift) / back)
    raise DataError(
        f"'{name}' is in {unit}, the study wants {study_unit}, and there is no fixed factor between them.",
        where=where,
        fix=f"Set scale.{name} (and offset.{name}) in site.toml to the factor from one to the other.",
    )


def _plain(unit: str) -> str:
    """Write a unit as the tables do: ASCII, without degree signs."""
    text = unit.strip().replace("µ", "u").replace("μ", "u").replace("°", "")
    text = {"degC": "C", "degF": "F", "l": "L", "percent": "%", "microvolts": "uV"}.get(text, text)
    known = {name for row in _UNITS for name in row}
    if text in known:
        return text
    alike = [name for name in known if name.casefold() == text.casefold()]
    return alike[0] if len(alike) == 1 else text
