"""Forecasting: errors in the study's own unit, beside the forecast that nothing changes."""

from __future__ import annotations

import math
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


def make(kind: str = "series", **options: Any) -> Task:
    content = tomllib.loads(template(kind, "x"))
    content["task"] = {"name": "forecasting", **options}
    return build_task(parse_study(content, where="x"))


TASK = make()  # 40 to 400 mg/dL, 30 and 60 minutes


def scaled(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor((values - 220) / 180).float()


def tally(outputs: torch.Tensor, targets: torch.Tensor, last: torch.Tensor, weights: Any) -> Tally:
    inputs = torch.zeros(len(targets), 24, 1)
    inputs[:, -1, 0] = last
    return TASK.tally(outputs, targets, inputs, torch.as_tensor(weights))


def test_figures_are_in_the_studys_unit() -> None:
    rng = np.random.default_rng(0)
    truth, last = rng.uniform(60, 300, (200, 2)), rng.uniform(60, 300, 200)
    forecast = truth + rng.normal(5, 20, truth.shape)
    figures = TASK.metrics(tally(scaled(forecast), scaled(truth), scaled(last), np.ones(200)))
    rmse = np.sqrt(((forecast - truth) ** 2).mean(0))
    flat = np.sqrt(((last[:, None] - truth) ** 2).mean(0))
    assert figures["rmse"] == pytest.approx(rmse.mean(), rel=1e-4)
    assert figures["mae"] == pytest.approx(np.abs(forecast - truth).mean(), rel=1e-4)
    assert figures["baseline_rmse"] == pytest.approx(flat.mean(), rel=1e-4)
    assert figures["baseline_mae"] == pytest.approx(np.abs(last[:, None] - truth).mean(), rel=1e-4)
    assert figures["skill"] == pytest.approx(1 - rmse.mean() / flat.mean(), rel=1e-3)
    assert figures["count"] == 200
    by_horizon = [value for name, value in figures.items() if name.startswith("rmse_")]
    assert by_horizon == pytest.approx(rmse.tolist(), rel=1e-4)


values = arrays(np.float32, (6, 2), elements=st.floats(-1e3, 1e3, width=32))


@settings(max_examples=60, deadline=None)
@given(values, values, arrays(np.float32, 6, elements=st.floats(-1, 1, width=32)))
def test_tallies_add_and_no_unit_exceeds_the_bound(
    outputs: np.ndarray, targets: np.ndarray, last: np.ndarray
) -> None:
    parts = [torch.as_tensor(part) for part in (outputs, targets, last)]
    weights = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    whole = tally(*parts, weights)
    halves = [tally(*(p[s] for p in parts), weights[s]) for s in (slice(3), slice(3, 6))]
    np.testing.assert_allclose(whole.flat(), (halves[0] + halves[1]).flat(), atol=1e-9)
    assert np.linalg.norm(whole.flat()) <= TASK.tally_bound + 1e-9


def test_the_bound_is_reached() -> None:
    far = tally(torch.full((1, 2), 9.0), torch.full((1, 2), -1.0), torch.ones(1), [1.0])
    assert np.linalg.norm(far.flat()) == pytest.approx(TASK.tally_bound)


def test_nobody_gives_no_figure() -> None:
    figures = TASK.metrics(Tally.zeros(TASK.tally_layout))
    assert figures.pop("count") == 0
    assert all(math.isnan(value) for value in figures.values())


@pytest.mark.parametrize("kind", ["huber", "mse"])
def test_the_loss_is_one_value_a_sample(kind: str) -> None:
    task = make(loss=kind)
    outputs, targets = torch.randn(5, 2), torch.randn(5, 2)
    losses = task.loss(outputs, targets)
    alone = torch.cat([task.loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(5)])
    assert losses.shape == (5,)
    torch.testing.assert_close(losses, alone)


def test_only_series_can_be_forecast() -> None:
    with pytest.raises(StudyError, match="learns from later values"):
        make("arrays")


def test_errors_below_zero_are_no_figure() -> None:
    task = make()
    noised = Tally({name: np.full(shape, -1.0) for name, shape in task.tally_layout.items()})
    noised.arrays["count"][:] = 10.0
    found = task.metrics(noised)
    assert math.isnan(found["rmse"])
    assert math.isnan(found["mae"])
