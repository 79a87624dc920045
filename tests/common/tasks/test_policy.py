"""Treatment policies: values that are right where they are known, and off-policy estimates beside the truth."""

from __future__ import annotations

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
from common.models import build_model
from common.study import Study
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task
from common.tasks.base import Tally
from common.tasks.figures.off_policy import plain_mean, weighted_mean
from common.tasks.policy import Policy

FEATURES = [{"name": "pressure", "minimum": 0, "maximum": 1}]


def study(decisions: int = 2, logged: bool = True, **task: Any) -> Study:
    content = tomllib.loads(template("table", "x"))
    data = {"kind": "episodes", "features": FEATURES, "decisions": decisions}
    data |= {"actions": {"wait": [0], "treat": [1]}, "reward_minimum": -1, "reward_maximum": 1}
    content["data"] = data | ({"probability": "p"} if logged else {})
    content["model"] = {"name": "q-network", "hidden": [3]}
    ends = {"value_minimum": -1, "value_maximum": 1}
    content["task"] = {"name": "policy", "discount": 0.9, **ends, **task}
    return parse_study(content, where="x")


def task_of(*args: Any, **kwargs: Any) -> Policy:
    found = build_task(study(*args, **kwargs))
    assert isinstance(found, Policy)
    return found


TASK = task_of()
WAIT_TREAT = torch.tensor([[[0, 0, 0, 0.5], [1, 1, 1, 0.25]]])
ONE = torch.tensor([[[1, -1, 1, 0.5], [-1, 0, 0, 0]]])
TARGETS = torch.cat([WAIT_TREAT, ONE] * 3 + [WAIT_TREAT])


def outputs_of(values: Any, judged: Any) -> torch.Tensor:
    """Return outputs [1, 4, states] from values [2, states] each."""
    return torch.cat([torch.tensor(values), torch.tensor(judged)]).unsqueeze(0).float()


def tally(task: Policy, outputs: torch.Tensor, targets: torch.Tensor, weights: Any = None) -> Tally:
    given = np.ones(len(targets)) if weights is None else weights
    return task.tally(outputs, targets, torch.zeros(len(targets), 1), torch.as_tensor(given))


@pytest.mark.parametrize("options", [{}, {"conservatism": 0.0}, {"temperature": 5.0}])
def test_each_patient_by_hand_and_nobody_adds_more_than_the_bound(options: dict[str, Any]) -> None:
    check_private(study(**options), TARGETS)


def test_parameters_are_counted_and_no_state_sees_another() -> None:
    network = build_model(study(), TASK.outputs)
    assert sum(p.numel() for p in network.parameters()) == (1 * 3 + 3) + (3 * 4 + 4)
    states = torch.randn(2, 3, 1)
    found = network(states)
    assert found.shape == (2, 4, 3)
    torch.testing.assert_close(network(states[:1, 1:2])[0, :, 0], found[0, :, 1])


def test_the_loss_by_hand() -> None:
    """Waiting, then treating at once for a reward of 1: the goals are 0.9 · max(0.2, 0.6) and 1."""
    values, judged = [[0.1, 0.2, 0.9], [0.3, 0.6, 0.9]], [[0.4, 0.5, 0.9], [0.0, 0.7, 0.9]]
    plain = task_of(conservatism=0.0, temperature=1.0)
    treats = 1 / (1 + math.exp(0.2 - 0.6))
    under = (1 - treats) * 0.5 + treats * 0.7
    first = (0.1 - 0.9 * 0.6) ** 2 + (0.4 - 0.9 * under) ** 2
    expected = (first + (0.6 - 1) ** 2 + (0.7 - 1) ** 2) / 2
    found = plain.loss(outputs_of(values, judged), WAIT_TREAT)
    assert float(found) == pytest.approx(expected, abs=1e-6)
    careful = task_of(conservatism=0.5, temperature=1.0).loss(
        outputs_of(values, judged), WAIT_TREAT
    )
    penalty = math.log(math.exp(0.1) + math.exp(0.3)) - 0.1
    penalty += math.log(math.exp(0.2) + math.exp(0.6)) - 0.6
    assert float(careful) == pytest.approx(expected + 0.5 * penalty / 2, abs=1e-6)


def test_no_gradient_flows_through_what_lies_ahead_or_is_not_there() -> None:
    task = task_of(conservatism=0.0, temperature=1.0)
    outputs = (torch.arange(12.0).view(1, 4, 3) / 20).requires_grad_()
    (gradient,) = torch.autograd.grad(task.loss(outputs, WAIT_TREAT).sum(), outputs)
    taken = [
        [True, False, False],
        [False, True, False],
    ] * 2  # waits, then treats; learned, then judged
    assert (gradient[0] != 0).tolist() == taken
    with torch.no_grad():
        other = outputs.clone()
        other[..., 1:] = 9.0
    torch.testing.assert_close(task.loss(other, ONE), task.loss(outputs, ONE))


def test_values_become_those_of_a_ward_that_is_known() -> None:
    """Treat twice to live (1); one treatment missed, and the patient lives with 0.5; two, and dies.

    A table of values, one state a number of treatments so far and decisions, learns them from decisions at random.
    """
    task = task_of(conservatism=0.0, temperature=0.01)
    taken = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]] * 8)
    reward = torch.tensor([-1.0, 0.0, 0.0, 1.0] * 8)
    targets = torch.zeros(len(taken), 2, 4)
    targets[..., 0], targets[:, 1, 1], targets[:, 1, 2], targets[..., 3] = taken, reward, 1, 0.5
    table = torch.zeros(4, 3, requires_grad=True)  # start, after waiting, after treating
    optimizer = torch.optim.Adam([table], lr=0.05)
    for _ in range(200):
        states = torch.stack([torch.zeros(len(taken)).long(), 1 + taken[:, 0]], dim=1)
        outputs = torch.cat([table[:, states].transpose(0, 1), torch.zeros(len(taken), 4, 1)], 2)
        optimizer.zero_grad()
        task.loss(outputs, targets).mean().backward()
        optimizer.step()
    expected = torch.tensor([[0.0, -1.0, 0.0], [0.9, 0.0, 1.0]])
    torch.testing.assert_close(table[:2].detach(), expected, atol=0.02, rtol=0)
    torch.testing.assert_close(table[2:].detach(), expected, atol=0.02, rtol=0)


def test_what_lies_ahead_is_believed_within_the_public_ends_only() -> None:
    values, judged = [[0.0, 7.0, 0.0], [0.0, -3.0, 0.0]], [[0.0, -5.0, 0.0]] * 2
    found = task_of(conservatism=0.0).loss(outputs_of(values, judged), WAIT_TREAT)
    first = (0 - 0.9) ** 2 + (0 + 0.9) ** 2
    assert float(found) == pytest.approx((first + (-3 - 1) ** 2 + (-5 - 1) ** 2) / 2, rel=1e-5)


def test_noise_widens_the_intervals() -> None:
    plain = plain_mean(np.array([100.0, 50.0, 25.0]), 4.0)
    assert plain.error == pytest.approx(math.sqrt(4.0 * (1 + 0.5**2)) / 100)
    weighted = weighted_mean(np.array([40.0, 20.0]), np.array([16.0, 8.0, 4.0]), 4.0)
    assert (weighted.mean, weighted.count) == (0.5, 100)
    assert weighted.error == pytest.approx(math.sqrt(4.0 * (1 + 0.5**2)) / 40)


def logged(count: int, seed: int, treats: float = 0.3) -> torch.Tensor:
    """Return one decision each: treating lives with 0.8, waiting with 0.4."""
    rng = np.random.default_rng(seed)
    action = rng.random(count) < treats
    lives = rng.random(count) < np.where(action, 0.8, 0.4)
    columns = [action, np.where(lives, 1, -1), np.ones(count), np.where(action, treats, 1 - treats)]
    return torch.tensor(np.stack(columns, 1)).float().unsqueeze(1)


def preferring(share: float, count: int, task: Policy) -> torch.Tensor:
    """Return outputs whose policy treats with a given probability."""
    apart = math.log(share / (1 - share)) * task.options.temperature
    return outputs_of([[0.0, 0.0], [apart, 0.0]], [[-0.2] * 2, [0.6] * 2]).expand(count, -1, -1)


def test_the_estimates_are_those_of_the_policy_and_their_intervals_cover() -> None:
    task, truth = task_of(1), 0.9 * 0.6 + 0.1 * -0.2
    covered = []
    for seed in range(100):
        figures = task.metrics(tally(task, preferring(0.9, 400, task), logged(400, seed)))
        covered.append(figures["value_low"] < truth < figures["value_high"])
    assert 0.88 < np.mean(covered) <= 1
    many = task.metrics(tally(task, preferring(0.9, 50_000, task), logged(50_000, 1)))
    assert many["value"] == pytest.approx(truth, abs=0.02)
    assert many["baseline_value"] == pytest.approx(0.3 * 0.6 + 0.7 * -0.2, abs=0.02)
    assert many["fqe_value"] == pytest.approx(truth, abs=1e-6)
    assert many["agreement"] == pytest.approx(0.3 * 0.9 + 0.7 * 0.1, abs=0.01)
    assert many["gain"] == pytest.approx(many["value"] - many["baseline_value"])


def test_the_clinicians_own_policy_is_worth_what_they_reached() -> None:
    task, targets = task_of(1), logged(300, 2)
    figures = task.metrics(tally(task, preferring(0.3, 300, task), targets))
    assert figures["value"] == pytest.approx(figures["baseline_value"], abs=1e-5)
    assert figures["effective_count"] == pytest.approx(300, rel=1e-4)


def test_without_logged_probabilities_the_fitted_value_is_the_headline() -> None:
    task = task_of(1, logged=False)
    figures = task.metrics(tally(task, preferring(0.9, 50, task), logged(50, 3)))
    assert figures["value"] == figures["fqe_value"] == pytest.approx(0.52)
    assert "effective_count" not in figures


def test_values_are_in_units_of_reward_whatever_their_range() -> None:
    wide = task_of(1, value_minimum=-10, value_maximum=30)
    outputs = preferring(0.9, 80, wide) / 20
    figures = wide.metrics(tally(wide, outputs, logged(80, 4)))
    narrow = TASK.metrics(tally(task_of(1), preferring(0.3, 80, TASK), logged(80, 4)))
    assert figures["baseline_value"] == pytest.approx(narrow["baseline_value"])
    assert task_of(2, value_minimum=None, value_maximum=None).half == pytest.approx(1.9)


cells = arrays(np.float32, (4, 4, 3), elements=st.floats(-30, 30, width=32))
rows = arrays(np.float32, (4, 2), elements=st.floats(-1, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(cells, rows, st.lists(st.integers(-1, 1), min_size=8, max_size=8))
def test_tallies_add_and_no_unit_exceeds_the_bound(
    outputs: np.ndarray, reward: np.ndarray, taken: list[int]
) -> None:
    action = np.array(taken).reshape(4, 2)
    action[:, 1] = np.where(action[:, 0] < 0, -1, action[:, 1])
    ends = np.ones((4, 2))
    targets = torch.tensor(np.stack([action, reward, ends, np.full((4, 2), 0.01)], 2)).float()
    parts = (torch.as_tensor(outputs), targets)
    weights = np.array([0.4, 0.3, 0.1, 0.2])
    whole = tally(TASK, *parts, weights)
    halves = [tally(TASK, *(p[s] for p in parts), weights[s]) for s in (slice(1), slice(1, 4))]
    np.testing.assert_allclose(whole.flat(), (halves[0] + halves[1]).flat(), atol=1e-9)
    assert np.linalg.norm(whole.flat()) <= TASK.tally_bound + 1e-9
    assert {name: value.shape for name, value in whole.arrays.items()} == TASK.tally_layout


def test_the_bound_is_reached() -> None:
    targets = torch.tensor([[[1, 1, 1, 0.001], [-1, 0, 0, 0]]])
    far = outputs_of([[-90.0] * 3, [90.0] * 3], [[90.0] * 3] * 2)
    found = np.linalg.norm(tally(TASK, far, targets).flat())
    assert found == pytest.approx(TASK.tally_bound)


def test_nobody_and_mere_noise_give_no_figure() -> None:
    figures = TASK.metrics(Tally.zeros(TASK.tally_layout))
    assert figures.pop("count") == 0
    assert all(math.isnan(value) for value in figures.values())
    rng = np.random.default_rng(0)
    noise = {name: rng.normal(0, 9, shape) for name, shape in TASK.tally_layout.items()}
    assert math.isnan(TASK.metrics(Tally(noise, 81.0))["value"])
    assert TASK.curves(Tally(noise, 81.0))["tables"][0]["columns"] == ["wait", "treat"]


def test_answers_name_the_preferred_action_and_every_value() -> None:
    answers = TASK.answers(preferring(0.9, 2, TASK))
    assert answers["preferred"] == ["treat", "treat"]
    assert answers["value_wait"] == [0, 0]


def test_what_is_explained_of_an_action_is_its_lead_over_the_best_other_one() -> None:
    wide = task_of(1, value_minimum=-10, value_maximum=30)
    scores = wide.scores()
    outputs = outputs_of([[0.1, 0.0], [0.4, 0.0]], [[9.0, 9.0]] * 2)
    assert list(scores) == ["wait", "treat"]
    assert float(scores["treat"](outputs)) == pytest.approx(0.3 * 20)
    assert float(scores["wait"](outputs)) == pytest.approx(-0.3 * 20)


def test_other_data_options_and_ranges_are_refused() -> None:
    content = tomllib.loads(template("table", "x"))
    content["task"] = {"name": "policy"}
    with pytest.raises(StudyError, match="decisions and what came of them"):
        build_task(parse_study(content, where="x"))
    with pytest.raises(StudyError, match="Unknown key 'gamma'"):
        build_task(study(gamma=1))
    with pytest.raises(StudyError, match="range from 2 to 1"):
        build_task(study(value_minimum=2.0))
