"""Survival: the likelihood of discrete time, and figures from counts beside the textbook ones."""

from __future__ import annotations

import itertools
import math
import tomllib
from typing import Any

import numpy as np
import pytest
import torch
from battery import check_private
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import StudyError
from common.study import Study
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task
from common.tasks.base import Tally

EDGES = (30.0, 90.0, 180.0, 365.0)
TARGETS = torch.tensor([[0, 1], [2, 0], [4, 0], [3, 1], [1, 1], [0, 0], [1, 0]]).float()


def study(model: dict[str, Any] | None = None, **task: Any) -> Study:
    content = tomllib.loads(template("table", "x"))
    content["task"] = {"name": "survival", **task}
    content["data"]["follow_up"] = {"time": "days", "edges": list(EDGES)}
    content["model"] = model or content["model"]
    return parse_study(content, where="x")


TASK = build_task(study(usual_hazard=0.5))  # outputs are the log odds themselves


def drawn(count: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    lived = rng.integers(0, 5, count)
    came = (rng.random(count) < 0.6) & (lived < 4)
    outputs = rng.normal(-1, 1, (count, 4)) - 0.5 * lived[:, None]
    return torch.tensor(outputs).float(), torch.tensor(np.stack([lived, came], 1)).float()


def tally(outputs: torch.Tensor, targets: torch.Tensor, weights: Any = None) -> Tally:
    given = np.ones(len(targets)) if weights is None else weights
    return TASK.tally(outputs, targets, torch.zeros(len(targets), 1), torch.as_tensor(given))


def test_the_loss_is_the_likelihood_of_what_was_seen() -> None:
    outputs, targets = drawn(60)
    hazard = outputs.double().sigmoid()
    for row, (lived, came) in enumerate(targets.long().tolist()):
        likelihood = (1 - hazard[row, :lived]).prod() * (hazard[row, lived] if came else 1)
        expected = -math.log(float(likelihood))
        assert float(TASK.loss(outputs, targets)[row]) == pytest.approx(expected, abs=1e-5)


def test_who_was_lost_at_once_says_nothing() -> None:
    outputs = torch.randn(1, 4, requires_grad=True)
    loss = TASK.loss(outputs, torch.tensor([[0.0, 0.0]])).sum()
    assert loss == 0
    assert not torch.autograd.grad(loss, outputs)[0].any()


@pytest.mark.parametrize(
    "model", [{"name": "linear"}, {"name": "tabular-transformer", "width": 4, "blocks": 1}]
)
def test_each_patient_by_hand_and_nobody_adds_more_than_the_bound(model: dict[str, Any]) -> None:
    check_private(study(model), TARGETS)


def test_concordance_is_that_of_all_pairs() -> None:
    outputs, targets = drawn(150)
    figures = TASK.metrics(tally(outputs, targets))
    risk = torch.nn.functional.softplus(outputs.double()).sum(1).numpy()
    right = pairs = 0.0
    for (a, x), (b, y) in itertools.permutations(zip(targets.tolist(), risk, strict=True), 2):
        if a[1] and b[0] > a[0]:
            pairs += 1
            right += (x > y) + 0.5 * (x == y)
    assert figures["concordance"] == pytest.approx(right / pairs, abs=0.01)
    assert figures["concordance_low"] < figures["concordance"] < figures["concordance_high"]


def test_the_interval_of_the_concordance_covers_as_often_as_it_says() -> None:
    errors, said = [], []
    for seed in range(60):
        figures = TASK.metrics(tally(*drawn(120, seed)))
        errors.append(figures["concordance"])
        said.append(figures["concordance_high"] - figures["concordance_low"])
    assert np.mean(said) == pytest.approx(2 * 1.96 * np.std(errors), rel=0.3)


def test_observed_survival_is_kaplan_and_meiers() -> None:
    """By hand: 7 patients; in the first interval 1 of 6 has the event (one was lost before), then 1 of 5, 0, 1 of 2."""
    curves = TASK.curves(tally(torch.zeros(7, 4), TARGETS))["survival"]
    expected = np.cumprod([1 - 1 / 6, 1 - 1 / 4, 1, 1 - 1 / 2])
    assert curves["observed"] == pytest.approx(expected.tolist())
    assert curves["predicted"] == pytest.approx([0.5, 0.25, 0.125, 0.0625])


def test_one_curve_for_all_has_the_baselines_brier_score() -> None:
    """Kaplan and Meier's own curve, given to everybody, scores exactly what the baseline says."""
    _, targets = drawn(300)
    curve = np.array(TASK.curves(tally(torch.zeros(300, 4), targets))["survival"]["observed"])
    hazard = 1 - curve / np.concatenate([[1.0], curve[:-1]])
    outputs = torch.logit(torch.tensor(hazard)).float().expand(300, 4)
    figures = TASK.metrics(tally(outputs, targets))
    assert figures["brier"] == pytest.approx(figures["baseline_brier"], rel=1e-4)
    assert figures["concordance"] == pytest.approx(0.5)
    assert figures["expected_to_observed"] == pytest.approx(1, rel=1e-4)
    assert 0 < figures["baseline_brier"] < 0.25


def test_who_knows_the_truth_beats_the_curve() -> None:
    _, targets = drawn(400)
    sure = torch.full((400, 4), -8.0)
    struck = (torch.arange(4) == targets[:, :1]) & (targets[:, 1:] > 0)
    sure[struck] = (4 - targets[:, 0].repeat_interleave(4).view(400, 4))[struck]
    figures = TASK.metrics(tally(sure, targets))
    assert figures["skill"] > 0.5
    assert figures["concordance"] > 0.8


def test_groups_of_risk_are_calibrated_where_the_model_is() -> None:
    rng = np.random.default_rng(0)
    outputs = torch.tensor(rng.normal(-1.5, 1.2, (20_000, 1))).float().expand(-1, 4)
    struck = rng.random((20_000, 4)) < outputs.sigmoid().numpy()
    came = struck.any(1)
    lived = np.where(came, struck.argmax(1), 4)
    found = TASK.curves(tally(outputs, torch.tensor(np.stack([lived, came], 1)).float()))
    (groups,) = found["calibration"].values()
    assert len(groups["predicted"]) >= 8
    assert np.allclose(groups["predicted"], groups["observed"], atol=0.04)
    assert np.ptp(groups["predicted"]) > 0.4
    assert groups["error"] < 0.02


rows = arrays(np.float32, (5, 4), elements=st.floats(-60, 60, width=32))


@settings(max_examples=80, deadline=None)
@given(rows, st.lists(st.integers(0, 4), min_size=5, max_size=5), st.integers(0, 31))
def test_tallies_add_and_no_unit_exceeds_the_bound(
    outputs: np.ndarray, lived: list[int], came: int
) -> None:
    seen = [[n, float(n < 4 and came >> i & 1)] for i, n in enumerate(lived)]
    parts = (torch.as_tensor(outputs), torch.tensor(seen).float())
    weights = np.array([0.2, 0.3, 0.1, 0.2, 0.2])
    whole = tally(*parts, weights)
    halves = [tally(*(p[s] for p in parts), weights[s]) for s in (slice(2), slice(2, 5))]
    np.testing.assert_allclose(whole.flat(), (halves[0] + halves[1]).flat(), atol=1e-9)
    assert np.linalg.norm(whole.flat()) <= TASK.tally_bound + 1e-9


def test_the_bound_is_reached() -> None:
    far = tally(torch.full((1, 4), 60.0), torch.tensor([[4.0, 0.0]]))
    assert np.linalg.norm(far.flat()) == pytest.approx(TASK.tally_bound)


def test_nobody_gives_no_figure() -> None:
    empty = Tally.zeros(TASK.tally_layout)
    figures = TASK.metrics(empty)
    assert figures.pop("count") == figures.pop("events") == 0
    assert all(math.isnan(value) for value in figures.values())
    (groups,) = TASK.curves(empty)["calibration"].values()
    assert math.isnan(groups.pop("error"))
    assert set(map(tuple, groups.values())) == {()}


def test_noise_that_hides_the_patients_gives_no_concordance() -> None:
    rng = np.random.default_rng(3)
    exact = tally(*drawn(100))
    noised = {name: value + rng.normal(0, 20, value.shape) for name, value in exact.arrays.items()}
    assert math.isnan(TASK.metrics(Tally(noised, 400.0))["concordance"])


def test_moderate_noise_moves_the_concordance_by_what_it_says() -> None:
    exact, rng = tally(*drawn(4000)), np.random.default_rng(4)
    truth, found = TASK.metrics(exact)["concordance"], []
    for _ in range(30):
        noised = {n: v + rng.normal(0, 1.0, v.shape) for n, v in exact.arrays.items()}
        figures = TASK.metrics(Tally(noised, 1.0))
        found.append(figures["concordance_low"] < truth < figures["concordance_high"])
    assert np.mean(found) > 0.85


def test_an_untrained_network_says_the_usual_hazard() -> None:
    task, nothing = build_task(study(usual_hazard=0.2)), torch.zeros(7, 4)
    curves = task.curves(task.tally(nothing, TARGETS, nothing, torch.ones(7)))["survival"]
    assert curves["predicted"] == pytest.approx([0.8, 0.8**2, 0.8**3, 0.8**4])
    moved = TASK.loss(nothing + math.log(0.2 / 0.8), TARGETS)
    torch.testing.assert_close(task.loss(nothing, TARGETS), moved)


def test_other_data_and_options_are_refused() -> None:
    content = tomllib.loads(template("table", "x"))
    content["task"] = {"name": "survival"}
    with pytest.raises(StudyError, match="a time and whether the event came then"):
        build_task(parse_study(content, where="x"))
    with pytest.raises(StudyError, match="Unknown key 'classes'"):
        build_task(study(classes=["a", "b"]))
