"""The chapter on data: whose they are, and what is taken of them."""

from __future__ import annotations

from collections.abc import Callable

from common.charts.numbers import MISSING, count
from common.data_spec import DataSpec
from common.data_spec.base import TARGETS
from common.study import Study
from server.card.parts import Part
from server.report.facts import Fact
from server.report.run_folder import Run
from server.report.schema import RunMetrics, Site
from server.report.sites import total

KINDS = {
    "dicom": "DICOM images",
    "arrays": "images",
    "table": "rows of a table",
    "series": "readings over time",
    "signals": "recordings of signals",
    "records": "records of irregular readings",
    "molecules": "molecules, written as SMILES",
    "episodes": "decisions and what came of them",
    "fused": "several kinds of data of the same patients",
}
SHOWN = 40
"""Names of inputs that are listed at most."""


def data_part(run: Run, study: Study) -> Part:
    """Return the chapter."""
    spec, metrics = study.data, run.metrics
    shape = " × ".join(str(side) for side in spec.model_shape)
    facts = [
        Fact("Kind", KINDS.get(spec.kind, spec.kind)),
        Fact("A sample", f"{shape} values{_range(spec)}, scaled by public constants"),
        Fact("Learns from", TARGETS.get(spec.target_kind, spec.target_kind)),
        Fact("Hospitals", count(len(metrics.sites))),
        Fact("Patients", _patients(run)),
        Fact("Samples", _number(run, lambda site: site.samples)),
        Fact("Left out by the hospitals", _number(run, lambda site: site.quarantined)),
        *_inputs(spec),
    ]
    return Part(
        "Data",
        sentences=(_where(metrics),),
        facts=tuple(fact for fact in facts if fact.value != MISSING),
    )


def _where(metrics: RunMetrics) -> str:
    """Say where the data lay; runs of older versions do not say whether their hospitals were generated."""
    if not metrics.simulation:
        return "The data never left the hospitals; each prepared its own by the study's rules."
    if metrics.generated is None:
        return "A simulation on one machine: where its hospitals are generated, no patient of theirs ever lived."
    if metrics.generated:
        return "A simulation on one machine, with generated hospitals: no patient of theirs ever lived."
    return "A simulation: the data of all hospitals lay on one machine; each was prepared by the study's rules."


def _range(spec: DataSpec) -> str:
    """Say where values lie; steps of the study may move them."""
    return "" if spec.steps else " in [−1, 1]"


def _patients(run: Run) -> str:
    """Patients who learned and who tested; of a deployment only what the hospitals declare is known."""
    train = total(run.metrics, lambda site: site.train_patients)
    test = total(run.metrics, lambda site: site.test_patients)
    if train is not None and test is not None:
        return f"{count(train)} to learn, {count(test)} others to test"
    declared = total(run.metrics, lambda site: site.declared_patients)
    return MISSING if declared is None else f"about {count(declared)}, as the hospitals declare"


def _number(run: Run, get: Callable[[Site], float | None]) -> str:
    return count(total(run.metrics, get))


def _inputs(spec: DataSpec) -> list[Fact]:
    """Name what a sample holds."""
    facts = []
    for kind in ("features", "variables", "channels"):
        found = getattr(spec, kind, ())
        names = [each.name for each in found] if isinstance(found, tuple) else []
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            facts.append(Fact(kind.capitalize(), ", ".join(names[:SHOWN]) + more))
    if spec.kind == "dicom":
        facts.append(Fact("Modality", spec.modality))
    if getattr(spec, "structures", ()):
        facts.append(Fact("Structures", ", ".join(getattr(spec, "structures", ()))))
    return facts
