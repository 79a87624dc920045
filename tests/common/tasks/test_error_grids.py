"""Error grids: the zones of the papers, every pair in one zone, whatever the study's unit."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import StudyError
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task
from common.tasks.base import Tally, Task
from common.tasks.error_grids import ZONES, Grid, clarke, parkes, zone_counts


def make(*grids: str, **data: Any) -> Task:
    content = tomllib.loads(template("series", "x"))
    content["task"] = {"name": "forecasting", "error_grids": list(grids)}
    content["data"] |= data
    return build_task(parse_study(content, where="x"))


TASK = make("clarke", "parkes")  # 40 to 400 mg/dL, 30 and 60 minutes


def tally(task: Task, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Tally:
    inputs = torch.zeros(len(targets), 24, 1)
    return task.tally(
        torch.as_tensor(outputs), torch.as_tensor(targets), inputs, torch.as_tensor(weights)
    )


@pytest.mark.parametrize(
    ("truth", "forecast", "zone"),
    [
        (100, 100, "A"),
        (100, 119, "A"),  # within a fifth
        (50, 69, "A"),  # both low, though more than a fifth apart
        (100, 130, "B"),
        (300, 200, "B"),
        (100, 220, "C"),  # a fall would be brought about
        (150, 20, "C"),
        (60, 100, "D"),  # a low value missed
        (300, 100, "D"),  # a high value missed
        (60, 200, "E"),
        (300, 60, "E"),
    ],
)
def test_clarkes_zones(truth: float, forecast: float, zone: str) -> None:
    found = clarke(np.array([truth], float), np.array([forecast], float))
    assert ZONES[found[0]] == zone


@pytest.mark.parametrize(
    ("truth", "forecast", "zone"),
    [
        (100, 100, "A"),
        (10, 49, "A"),
        (100, 135, "B"),
        (500, 420, "A"),
        (500, 400, "B"),
        (100, 200, "C"),
        (300, 140, "C"),
        (60, 180, "D"),
        (300, 50, "D"),
        (20, 160, "E"),
        (40, 400, "E"),
    ],
)
def test_parkes_zones(truth: float, forecast: float, zone: str) -> None:
    found = parkes(np.array([truth], float), np.array([forecast], float))
    assert ZONES[found[0]] == zone


def test_the_truth_is_in_zone_a_and_a_worse_forecast_in_no_better_zone() -> None:
    truth = np.linspace(20, 600, 300)
    assert (clarke(truth, truth) == 0).all()
    assert (parkes(truth, truth) == 0).all()
    steps = np.linspace(0, 1, 200)[:, None]
    for end in (0.0, 700.0):
        zones = np.stack([parkes(truth, truth + step * (end - truth)) for step in steps[:, 0]])
        assert (np.diff(zones, axis=0) >= 0).all()


values = arrays(np.float32, (6, 2), elements=st.floats(-3, 3, width=32))


@settings(max_examples=60, deadline=None)
@given(values, values)
def test_zones_add_up_and_no_unit_exceeds_the_bound(
    outputs: np.ndarray, targets: np.ndarray
) -> None:
    weights = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    whole = tally(TASK, outputs, targets, weights)
    halves = [tally(TASK, outputs[s], targets[s], weights[s]) for s in (slice(3), slice(3, 6))]
    np.testing.assert_allclose(whole.flat(), (halves[0] + halves[1]).flat(), atol=1e-9)
    assert whole.arrays["clarke"].sum(1) == pytest.approx([1, 1])
    assert np.linalg.norm(whole.flat()) <= TASK.tally_bound + 1e-9


def test_the_bound_is_reached() -> None:
    far = np.full((1, 2), 9.0, np.float32)
    inputs = torch.ones(1, 24, 1)
    worst = TASK.tally(torch.as_tensor(far), torch.as_tensor(-far / 9), inputs, torch.ones(1))
    assert np.linalg.norm(worst.flat()) == pytest.approx(TASK.tally_bound)


def test_shares_are_of_all_forecasts_and_the_curves_keep_the_horizons_apart() -> None:
    scaled = (np.array([[100, 100], [110, 300]]) - 220) / 180  # the second at 60 minutes is far off
    truth = (np.array([[100, 100], [100, 60]]) - 220) / 180
    counted = tally(TASK, scaled.astype(np.float32), truth.astype(np.float32), np.ones(2))
    figures = TASK.metrics(counted)
    assert figures["clarke_a"] == pytest.approx(0.75)
    assert figures["parkes_ab"] == pytest.approx(0.75)
    grids = TASK.curves(counted)["horizons"]["error_grids"]
    assert grids["clarke"] == [[1, 0, 0, 0, 0], [0.5, 0, 0, 0, 0.5]]


def test_millimoles_fall_into_the_same_zones() -> None:
    milli = make("clarke", unit="mmol/L", minimum=40 / 18.016, maximum=400 / 18.016)
    rng = np.random.default_rng(0)
    drawn = [rng.uniform(-1, 1, (50, 2)).astype(np.float32) for _ in range(2)]
    found = [tally(task, *drawn, np.ones(50)).arrays["clarke"] for task in (TASK, milli)]
    np.testing.assert_array_equal(*found)


def test_counts_that_noise_pushed_below_zero_are_no_share() -> None:
    noised = Tally({name: np.full(shape, -1.0) for name, shape in TASK.tally_layout.items()})
    assert np.isnan(TASK.metrics(noised)["clarke_a"])


def test_only_glucose_has_error_grids() -> None:
    with pytest.raises(StudyError, match="'mmHg'"):
        make("parkes", unit="mmHg")


@pytest.mark.parametrize("grid", ["clarke", "parkes"])
def test_weights_count(grid: Grid) -> None:
    counts = zone_counts(
        grid, np.array([100.0, 20.0]), np.array([100.0, 300.0]), np.array([2, 0.5])
    )
    assert counts.tolist() == [2, 0, 0, 0, 0.5]


def test_a_study_without_grids_counts_nothing_more() -> None:
    assert "clarke" not in make().tally_layout
    assert "error_grids" not in make().curves(Tally.zeros(make().tally_layout))["horizons"]
