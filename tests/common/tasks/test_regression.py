"""Regression: errors in the study's own unit, beside what the mean of all would give."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from battery import check_private
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import load_study, parse_study
from common.study_template import template
from common.tasks import build_task
from common.tasks.base import Tally, Task


def study_for(kind: str = "molecules", **task: Any) -> Study:
    content = tomllib.loads(template(kind, "x"))
    content["task"] = {"name": "regression", **task}
    if kind != "molecules":
        content["data"] |= {"value": {"minimum": -8, "maximum": 2}}
        content["data"].pop("positive", None)
    return parse_study(content, where="x")


TASK: Any = build_task(study_for())  # -8 to 2


def tally(outputs: Any, targets: Any, weights: Any = None, task: Task = TASK) -> Tally:
    given_outputs, truth = (
        torch.as_tensor(each).float().reshape(-1, 1) for each in (outputs, targets)
    )
    weight = torch.ones(len(truth)) if weights is None else torch.as_tensor(weights)
    return task.tally(given_outputs, truth, torch.zeros(len(truth), 1), weight)


def scaled(values: np.ndarray) -> np.ndarray:
    return (values + 3) / 5


def test_pooled_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(-7, 1.5, 300)
    forecast = truth + rng.normal(0.2, 1.0, 300)
    parts = [tally(scaled(forecast[s]), scaled(truth[s])) for s in (slice(90), slice(90, 300))]
    found = TASK.metrics(parts[0] + parts[1])
    cut = forecast.clip(-8, 2)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, cut), rel=1e-5)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, cut), rel=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(truth, cut), rel=1e-4)
    assert found["baseline_rmse"] == pytest.approx(truth.std(), rel=1e-4)
    assert found["count"] == 300


values = arrays(np.float32, 6, elements=st.floats(-1e3, 1e3, width=32))


@settings(max_examples=60, deadline=None)
@given(values, values)
def test_tallies_add_and_no_unit_exceeds_the_bound(outputs: Any, targets: Any) -> None:
    weights = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    whole = tally(outputs, targets, weights)
    halves = [tally(outputs[s], targets[s], weights[s]) for s in (slice(3), slice(3, 6))]
    np.testing.assert_allclose(whole.flat(), (halves[0] + halves[1]).flat(), atol=1e-9)
    assert np.linalg.norm(whole.flat()) <= TASK.tally_bound + 1e-9


def test_the_bound_is_reached() -> None:
    assert np.linalg.norm(tally([9.0], [-1.0]).flat()) == pytest.approx(TASK.tally_bound)


def test_nobody_gives_no_figure() -> None:
    figures = TASK.metrics(Tally.zeros(TASK.tally_layout))
    assert figures.pop("count") == 0
    assert all(math.isnan(value) for value in figures.values())


def test_equal_values_have_no_share_of_variance() -> None:
    figures = TASK.metrics(tally([0.1, 0.2, 0.3], [0.3, 0.3, 0.3]))
    assert figures["baseline_rmse"] == pytest.approx(0.0, abs=1e-3)
    assert math.isnan(figures["r2"]) or figures["r2"] < -100
    assert figures["rmse"] > 0


def test_what_noise_makes_impossible_is_no_figure() -> None:
    noised = Tally({name: np.array([-1.0]) for name in TASK.tally_layout}, variance=1.0)
    noised.arrays["count"][:] = 10.0
    found = TASK.metrics(noised)
    assert all(math.isnan(found[name]) for name in ("rmse", "mae", "r2", "baseline_rmse"))
    narrow = tally([0.0, 0.0], [0.5, 0.5])
    narrow.arrays["truth"][:] = (
        1.5  # noise: the square of the mean is above the mean of the squares
    )
    assert math.isnan(TASK.metrics(narrow)["r2"])


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_the_loss_is_one_value_a_sample(loss: str) -> None:
    task = build_task(study_for(loss=loss))
    outputs, targets = torch.randn(5, 1), torch.randn(5, 1)
    losses = task.loss(outputs, targets)
    alone = torch.cat([task.loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(5)])
    assert losses.shape == (5,)
    torch.testing.assert_close(losses, alone)


@pytest.mark.parametrize("kind", ["molecules", "table", "records"])
def test_each_patient_by_hand(kind: str) -> None:
    check_private(study_for(kind), torch.linspace(-1, 1, 7)[:, None])


def test_people_are_told_values_in_their_unit() -> None:
    told = TASK.answers(torch.tensor([[-1.0], [0.0], [7.0]]))
    assert told == {"log_solubility": [-8.0, -3.0, 2.0]}
    assert TASK.curves(tally([0.0], [0.0]))["tables"][0]["rows"][0]["values"] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("series", {}, "learns from one number"),
        ("table", {"positive": [1]}, "give either"),
        ("table", {"value": {"minimum": 2, "maximum": 1}}, "less than maximum"),
        ("molecules", {"follow_up": {"edges": [1]}}, "follow_up"),
        ("molecules", {"target": "smiles"}, "also the column of the SMILES"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, changes: dict[str, Any], message: str) -> None:
    content = tomllib.loads(template(kind, "x"))
    content["task"] = {"name": "regression"}
    if kind == "table":
        del content["data"]["positive"]
        content["data"]["value"] = {"minimum": 0, "maximum": 1}
    content["data"] |= changes
    with pytest.raises(StudyError, match=message):
        build_task(parse_study(content, where="x"))


def test_the_example_of_the_documentation_can_be_built() -> None:
    study = load_study(Path(__file__).parents[3] / "docs" / "examples" / "heart-rate.toml")
    assert build_task(study).headline == "rmse"
    assert build_model(study, 1)(torch.zeros(2, *study.data.model_shape)).shape == (2, 1)
