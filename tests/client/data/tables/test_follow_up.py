"""Follow-up: times until an event or until last sight become intervals lived through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from client.data.cohort import Cohort
from client.data.follow_up import hazard_targets
from common.data_spec import DataSpec, FollowUp
from common.errors import DataError

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "table",
    "target": "died",
    "positive": [1],
    "follow_up": {"time": "days", "unit": "d", "edges": [10, 20, 40]},
    "features": [{"name": "age", "minimum": 0, "maximum": 100}],
    "test_fraction": 0.0,
}
SITE = 'kind = "table"\npath = "t.csv"\npatient = "id"\n'


@pytest.mark.parametrize(
    ("event", "time", "expected"),
    [
        (1, 0, [0, 1]),
        (1, 10, [0, 1]),
        (1, 10.1, [1, 1]),
        (1, 40, [2, 1]),
        (1, 41, [3, 0]),  # by then nobody looks
        (0, 0, [0, 0]),
        (0, 5, [0, 0]),
        (0, 5.1, [1, 0]),  # more than half of the first interval
        (0, 29, [2, 0]),
        (0, 31, [3, 0]),
        (0, 9999, [3, 0]),
    ],
)
def test_times_are_cut_at_the_edges(event: int, time: float, expected: list[int]) -> None:
    follow_up = FollowUp(edges=(10, 20, 40))
    found = hazard_targets(np.array([event]), np.array([float(time)]), follow_up)
    assert found.dtype == np.float32
    assert found.tolist() == [expected]


def test_a_table_gives_times_in_the_studys_unit(build: Build, tmp_path: Path) -> None:
    rows = ["id,age,died,t", "a,50,1,0.5", "b,60,0,1.25", "c,70,1,", "d,70,0,-1", "e,1,,1"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    site = SITE + 'columns = { days = "t" }\nunits = { days = "mo" }\n'
    cohort = build(site, SPEC)
    assert sorted(cohort.targets.tolist()) == [[1, 1], [3, 0]]
    assert cohort.quarantine.counts == {
        "no follow-up time": 1,
        "follow-up time before 0": 1,
        "no target value": 1,
    }


def test_the_column_of_times_must_be_there(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,age,died,day\na,50,1,5\n")
    with pytest.raises(DataError, match="no column 'days'"):
        build(SITE, SPEC)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"follow_up": {"time": "days", "edges": [5, 5]}}, "must rise"),
        ({"follow_up": {"time": "days", "edges": []}}, "at least 1"),
        ({"follow_up": {"time": "days", "edges": [0, 1]}}, "greater than 0"),
        ({"follow_up": {"edges": [1]}}, "needs time"),
        ({"follow_up": {"time": "age", "edges": [1]}}, "is also a feature"),
        ({"positive": None, "classes": {"a": [1], "b": [2]}}, "goes with positive"),
    ],
)
def test_a_follow_up_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(DataSpec).validate_python({**SPEC, **change})
