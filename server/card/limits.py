"""The chapter on limits: what the run itself gives reason to doubt."""

from __future__ import annotations

from collections.abc import Iterator

from server.card.parts import Part, Words
from server.report.run_folder import Run
from server.report.subgroups import subgroup_tables

FEW = 200
"""Held-out patients below which a figure says little."""
WEAK = 8.0
"""ε above which the promise is weak."""
DIVISIONS = {"sex": "women and men", "age": "young and old"}
"""Divisions of the patients that a reader asks for first."""
ALWAYS = (
    "Not a medical device: it was not examined or approved for any use on patients.",
    "Not tested on hospitals that took no part; scanners, devices and patients elsewhere may differ.",
    "Predictions are chances and estimates, to be read by people who know the patient.",
)


def limits_part(run: Run, words: Words) -> Part:
    """Return the chapter."""
    own = (f"Not for: {words.not_for}",) if words.not_for else ()
    return Part("Limits", points=(*own, *_found(run), *ALWAYS))


def _found(run: Run) -> Iterator[str]:
    """Yield what follows from the run's own figures."""
    metrics = run.metrics
    if metrics.simulation and metrics.generated:
        yield "Trained on generated hospitals: it shows that the study runs, and says nothing of real patients."
    elif metrics.simulation:
        yield "Trained in a simulation: one machine held the data of all hospitals, and none of them ran the study."
    tested = metrics.final.get("count")
    if tested is not None and tested < FEW:
        yield f"Tested on {tested:.0f} held-out patients only: the figures may be off by much."
    epsilons = [s.epsilon for s in metrics.sites.values() if s.epsilon is not None]
    if metrics.privacy.enabled and epsilons and max(epsilons) > WEAK:
        yield f"ε of {max(epsilons):.1f} is a weak promise: beyond {WEAK:g} it protects mainly against the naive."
    unknown = [words for name, words in DIVISIONS.items() if name not in _divisions(run)]
    if unknown:
        yield f"Not measured: whether it works equally well for {' and for '.join(unknown)}."
    if "calibration_error" not in metrics.final and metrics.classes:
        yield "Not known: whether its chances are calibrated."
    if metrics.final.get("skill") is not None and (metrics.final["skill"] or 0) <= 0:
        yield "It forecasts no better than the last reading."


def _divisions(run: Run) -> set[str]:
    """Return the names of the divisions of which something is shown."""
    return {table.name.casefold() for table in subgroup_tables(run)}
