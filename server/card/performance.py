"""The chapters on how good the model is: over all, by group of patients, by hospital."""

from __future__ import annotations

from dataclasses import replace

from common.charts.numbers import count, fixed
from common.study import Study
from server.card.parts import Part
from server.report.further import further_tables
from server.report.learning import headline
from server.report.run_folder import Run
from server.report.sites import Row
from server.report.subgroups import Table, subgroup_tables

NAMES = {
    "auc": "AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "f1": "F1",
    "macro_f1": "Macro F1",
    "baseline_rmse": "RMSE without a model",
    "baseline_mae": "MAE without a model",
    "r2": "R²",
}
MOST = 30
"""Figures that are listed at most."""


def performance_part(run: Run, study: Study) -> Part:
    """Return the chapter on all test patients together, with 95 % intervals where the task gives them."""
    final, other = run.metrics.final, run.metrics.non_private
    keys = [key for key in final if not key.endswith(("_low", "_high")) and key != "count"]
    first = headline(run.metrics).key
    ordered = sorted(keys, key=lambda key: key != first)[:MOST]
    names = ("This model", *(("Without privacy",) if other else ()))
    rows = [
        Row(
            _name(key),
            (_figure(final, key), *((fixed(other.get(key)),) if other else ())),
        )
        for key in ordered
    ]
    return Part(
        "Performance",
        sentences=(
            f"On all hospitals' pooled held-out patients ({_counted(run, study)}), none of whom taught the model.",
        ),
        tables=(Table("Figures", names, tuple(rows)), *_further(run)),
    )


def groups_part(run: Run) -> Part:
    """Return the chapter on groups of patients."""
    tables = [replace(table, name=f"By {table.name}") for table in subgroup_tables(run)]
    if not tables:
        return Part(
            "For whom it works",
            sentences=(
                "Not measured: the study asks for no subgroups. Nothing is known of how the figures differ by sex, age "
                "or other groups; `[evaluation] subgroups` in the study measures it.",
            ),
        )
    return Part(
        "For whom it works",
        sentences=(
            "Dashes stand for groups of too few patients to show, or that noise hides; in brackets are 95 % intervals.",
        ),
        tables=tuple(tables),
    )


def sites_part(run: Run) -> Part | None:
    """Return the chapter on hospitals, where their own figures may be shown."""
    measure = headline(run.metrics)
    found = {name: getattr(site, measure.key, None) for name, site in run.metrics.sites.items()}
    known = sorted(value for value in found.values() if value is not None)
    if len(known) < 2 or any(table.name == "hospital" for table in subgroup_tables(run)):
        return None
    cells = (measure.text(known[0]), measure.text(known[len(known) // 2]), measure.text(known[-1]))
    table = Table(measure.name, ("Least", "Middle", "Most"), (Row("Hospitals", cells),))
    return Part("By hospital", tables=(table,))


def _counted(run: Run, study: Study) -> str:
    """Say how many were tested."""
    found = run.metrics.final.get("count")
    what = "patients" if study.evaluation.per == "patient" else "samples"
    return f"how many {what} is not known" if found is None else f"{count(found)} {what}"


def _figure(final: dict[str, float | None], key: str) -> str:
    low, high = final.get(f"{key}_low"), final.get(f"{key}_high")
    text = fixed(final.get(key))
    return text if low is None or high is None else f"{text} ({fixed(low, 2)}–{fixed(high, 2)})"


def _name(key: str) -> str:
    return NAMES.get(key) or key.replace("_", " ").capitalize()


def _further(run: Run) -> list[Table]:
    """Return the tables that the task itself gives."""
    return [Table(t.title, tuple(t.columns), tuple(t.rows)) for t in further_tables(run)]
