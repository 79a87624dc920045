"""The hospitals as a subgroup: those with few patients are not shown, nor to be worked out."""

from __future__ import annotations

import math
from collections.abc import Callable

from common.study import Study
from common.tasks import build_task
from server.subgroups import by_hospital


def counted(make_study: Callable[..., Study], **counts: float) -> dict[str, bool]:
    """Which hospitals are shown, of those with so many patients."""
    task = build_task(make_study())
    metrics = {name: {"count": count, "auc": 0.8} for name, count in counts.items()}
    tables = by_hospital(task, metrics, 10)
    return {row["name"]: bool(row["figures"]) for table in tables for row in table["rows"]}


def test_hospitals_are_shown_side_by_side(make_study):
    assert counted(make_study, north=50, south=40) == {"north": True, "south": True}


def test_a_small_hospital_hides_another(make_study):
    found = counted(make_study, north=50, south=40, east=4)
    assert found == {"north": True, "south": False, "east": False}


def test_a_single_hospital_is_no_division(make_study):
    assert counted(make_study, north=50) == {}


def test_a_figure_that_noise_hides_is_not_shown(make_study):
    task = build_task(make_study())
    metrics = {
        "north": {"count": 50.0, "auc": math.nan},
        "south": {"count": math.nan, "auc": 0.7},
        "east": {"count": 30.0, "auc": 0.7},
    }
    (table,) = by_hospital(task, metrics, 10)
    assert [bool(row["figures"]) for row in table["rows"]] == [False, False, True]
