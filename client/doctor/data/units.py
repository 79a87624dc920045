"""Do the numbers look as if they were in the study's unit?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from client.doctor.data.patients import LEAST_ROWS
from client.doctor.data.quantities import looked_at
from client.doctor.findings import Finding, Patient, amber, green
from client.doctor.site_file import section
from common.errors import ConsiliumError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WITHOUT = ("dicom", "arrays")
"""Kinds whose numbers have no unit that a site could mistake."""
OUTSIDE = 0.5
MISTAKES: tuple[tuple[float, tuple[str, ...], str], ...] = (
    (38.67, ("chol", "ldl", "hdl"), "in mmol/L instead of mg/dL"),
    (1 / 38.67, ("chol", "ldl", "hdl"), "in mg/dL instead of mmol/L"),
    (88.42, ("creat", "krea"), "in mg/dL instead of µmol/L"),
    (1 / 88.42, ("creat", "krea"), "in µmol/L instead of mg/dL"),
    (17.1, ("bili",), "in mg/dL instead of µmol/L"),
    (1 / 17.1, ("bili",), "in µmol/L instead of mg/dL"),
    (18.0182, ("gluc", "gluk", "sugar", "mg/dl"), "glucose in mmol/L instead of mg/dL"),
    (1 / 18.0182, ("gluc", "gluk", "sugar", "mmol/l"), "glucose in mg/dL instead of mmol/L"),
    (7.50062, ("mmhg", "press", "pao2", "paco2"), "in kPa instead of mmHg"),
    (1 / 7.50062, ("kpa", "press", "pao2", "paco2"), "in mmHg instead of kPa"),
    (0.45359, ("kg", "weight"), "in pounds instead of kilograms"),
    (2.54, ("cm", "height"), "in inches instead of centimetres"),
    (100.0, (), "in a unit a hundred times as large (metres, shares)"),
    (0.01, (), "in a unit a hundred times as small (centimetres, per cent)"),
    (10.0, (), "in a unit ten times as large"),
    (0.1, (), "in a unit ten times as small"),
    (1000.0, (), "in a unit a thousand times as large"),
    (0.001, (), "in a unit a thousand times as small"),
)
"""Those that are made most: the factor that mends one, what name or unit it belongs to (any: all), and in words."""
ENOUGH = 0.9


def check(patient: Patient) -> Iterator[Finding]:
    """Look at the middle of every number's values against the study's range."""
    look = patient.look
    if look is None or look.hopeless or look.spec.kind in WITHOUT:
        return
    name, config = look.dataset(patient.site)
    heading = section(patient.site, name)
    try:
        every = list(looked_at(name, config, look.spec))
    except ConsiliumError:
        look.hopeless = True  # the cohort would say the same
        raise
    for each in every:
        what = f"'{each.name}'" if each.name else "the readings"
        what += f" of part '{each.part}'" if each.part else ""
        own = f"{heading[:-1]}.parts.{each.part}]" if each.part else heading
        key = f"{own} scale.{each.name}" if each.name else f"{own} scale"
        for finding in judged(each.values, each.low, each.high, what, key, unit=each.unit):
            look.doubted.add(each.key)
            yield finding
    if any(len(each.values) for each in every) and not look.doubted:
        yield green("the numbers lie in the study's ranges")


def judged(
    values: NDArray[np.float64], low: float, high: float, what: str, key: str, *, unit: str = ""
) -> Iterator[Finding]:
    """Say when most values are outside a range, and what they might be in.

    Args:
        values: in what is taken for the study's unit; NaN where there is none.
        low: lower end of the study's range.
        high: upper end.
        what: whose values they are.
        key: where site.toml states the factor.
        unit: the study's.
    """
    import numpy as np

    known = values[np.isfinite(values)]
    if not len(known):
        return
    outside = float(((known < low) | (known > high)).mean())
    if outside > OUTSIDE:
        factor, likely = _guess(known, low, high, f"{what} {unit}".casefold())
        yield amber(
            f"{what}: {outside:.0%} of the values are outside the study's {low:g} to {high:g}.{likely}",
            f"Compare the units; {key} = {factor:.6g} would fit."
            if factor
            else f"Compare the units; see {key}.",
        )
    elif len(known) >= LEAST_ROWS and np.ptp(known) == 0:
        yield amber(f"{what}: every value is the same.", "See that it is the right column.")


def _guess(
    values: NDArray[np.float64], low: float, high: float, named: str
) -> tuple[float | None, str]:
    """Return the first factor that brings nearly all values into the range, and what it would mean."""
    for factor, words, meaning in MISTAKES:
        scaled = values * factor
        fits = float(((scaled >= low) & (scaled <= high)).mean()) > ENOUGH
        if fits and (not words or any(word in named for word in words)):
            return factor, f" They may be {meaning}."
    return None, ""
