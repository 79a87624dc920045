"""The final model by groups of patients: the figures that matter most for the task, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

from common.charts.numbers import MISSING, count, fixed
from server.report.curves import Subgroups
from server.report.run_folder import Run
from server.report.sites import Row
from server.report.values import Metrics

COLUMNS = (
    ("auc", "AUC", 3),
    ("dice", "Dice", 3),
    ("concordance", "Concordance", 3),
    ("rmse", "RMSE", 2),
    ("mae", "MAE", 2),
    ("sensitivity", "Sensitivity", 2),
    ("specificity", "Specificity", 2),
    ("accuracy", "Accuracy", 2),
    ("calibration_gap", "Predicted − observed", 3),
)
"""Key, name and decimals of what is shown, where a task has it."""
MANY = 60
"""Rows that a table has at most: of more hospitals the table of hospitals shows the spread."""


@dataclass(frozen=True)
class Table:
    """A printed division of the patients."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def subgroup_tables(run: Run) -> list[Table]:
    """Return the tables of those divisions of which anything is shown."""
    found = run.metrics.curves.subgroups or []
    return [_table(division) for division in found if _is_shown(division)]


def _is_shown(division: Subgroups) -> bool:
    return len(division.rows) <= MANY and any(row.figures for row in division.rows)


def _table(division: Subgroups) -> Table:
    there = [
        (key, name, digits)
        for key, name, digits in COLUMNS
        if any(row.figures.get(key) is not None for row in division.rows)
    ]
    rows = [
        Row(
            row.name,
            (
                count(row.figures.get("count")),
                *(_cell(row.figures, key, digits) for key, _, digits in there),
            ),
        )
        for row in division.rows
    ]
    return Table(division.name, ("Patients", *(name for _, name, _ in there)), tuple(rows))


def _cell(figures: Metrics, key: str, digits: int) -> str:
    """Return a figure with its 95 % interval where there is one."""
    value, low, high = (figures.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return MISSING
    text = fixed(value, digits)
    return text if low is None or high is None else f"{text} ({fixed(low, 2)}–{fixed(high, 2)})"
