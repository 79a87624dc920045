"""Visits instead of a grid, and how long after them an event came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from client.data.records.config import RecordDataset
from client.data.records.source import RecordSource
from client.data.samples import RawSamples
from common.data_spec import RecordSpec
from common.errors import DataError

DAY = 1440
SPEC: dict[str, Any] = {
    "kind": "records",
    "target": "died",
    "positive": [1],
    "step_minutes": DAY,
    "history_minutes": 10 * DAY,
    "variables": [{"name": "pulse", "minimum": 0, "maximum": 200}],
    "features": [{"name": "age", "minimum": 0, "maximum": 100}],
}
READINGS = "who,time,pulse\na,0.5,50\na,3,100\na,3.4,110\na,9,150\nb,9.5,200\n"


def load(tmp_path: Path, outcomes: str, spec: dict[str, Any], **site: Any) -> RawSamples:
    (tmp_path / "r.csv").write_text(READINGS)
    (tmp_path / "o.csv").write_text(outcomes)
    dataset = RecordDataset(
        kind="records",
        path=tmp_path / "r.csv",
        outcomes=tmp_path / "o.csv",
        record="who",
        patient="who",
        time_unit="days",
        declared_patients=2,
        **site,
    )
    return RecordSource().load(dataset, RecordSpec.model_validate({**SPEC, **spec}), None)


OUTCOMES = "who,died,age\na,0,50\nb,1,100\n"


def test_the_last_visits_are_kept_in_order_and_filled_up_in_front(tmp_path: Path) -> None:
    found = load(tmp_path, OUTCOMES, {"visits": 2}).inputs
    assert found.shape == (2, 2, 4)
    # pulse, age, place in the window, whether it is a visit
    expected = [[[0.05, 0, -0.2, 1], [0.5, 0, 1, 1]], [[0, 0, -1, -1], [1, 1, 1, 1]]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_as_many_visits_as_steps_is_the_grid_without_its_holes(tmp_path: Path) -> None:
    found = load(tmp_path, OUTCOMES, {"visits": 10}).inputs
    assert (found[:, :, 3] > 0).sum(axis=1).tolist() == [3, 1]
    np.testing.assert_allclose(found[0, -3:, 0], [-0.5, 0.05, 0.5], atol=1e-6)


def test_follow_up_counts_from_the_end_of_the_window(tmp_path: Path) -> None:
    outcomes = "who,died,age,seen\na,0,50,38\nb,1,100,31\n"
    follow_up = {"follow_up": {"unit": "wk", "edges": [1, 2, 4]}}
    found = load(tmp_path, outcomes, follow_up, outcome_time="seen")
    assert found.targets.tolist() == [[3, 0], [2, 1]]  # 28 and 21 days after the tenth


def test_a_site_that_does_not_say_when_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="when the event came") as caught:
        load(tmp_path, OUTCOMES, {"follow_up": {"edges": [1]}})
    assert "outcome_time" in caught.value.fix


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="more than the window has steps"):
        RecordSpec.model_validate({**SPEC, "visits": 11})
    with pytest.raises(ValidationError, match="outcome_time says it"):
        RecordSpec.model_validate({**SPEC, "follow_up": {"time": "x", "edges": [1]}})
