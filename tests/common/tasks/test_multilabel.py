"""Several findings: unknown ones count nowhere, and the pooled figures are those of scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from common.errors import StudyError
from common.study import Study
from common.tasks import build_task
from common.tasks.base import Tally, Task

Make = Callable[..., Study]
NAMES = ["effusion", "nodule", "oedema"]


def task_of(make_study: Make, bins: int = 200, **options: object) -> Task:
    task = {"name": "multilabel", "findings": NAMES, "classes": None, **options}
    return build_task(
        make_study(task=task, data={"labels": "classes"}, evaluation={"score_bins": bins})
    )


def tally(task: Task, outputs: np.ndarray, targets: np.ndarray, weights: object = None) -> Tally:
    weight = torch.ones(len(targets)) if weights is None else torch.as_tensor(weights)
    given_outputs, truth = torch.as_tensor(outputs).float(), torch.as_tensor(targets).float()
    return task.tally(given_outputs, truth, torch.zeros(len(targets), 1), weight)


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(-1, 2, (count, 3))
    return rng.normal(1.5 * np.clip(targets, 0, 1) - 0.7, 1.0), targets


def test_pooled_figures_are_those_of_scikit_learn(make_study: Make) -> None:
    task = task_of(make_study, bins=4000)
    outputs, targets = draw(900, 1)
    total = tally(task, outputs[:100], targets[:100]) + tally(task, outputs[100:], targets[100:])
    found = task.metrics(total)
    areas, losses, recalls = [], [], []
    for number, name in enumerate(NAMES):
        known = targets[:, number] >= 0
        truth, scores = targets[known, number], outputs[known, number]
        areas.append(sk.roc_auc_score(truth, scores))
        losses.append(sk.log_loss(truth, 1 / (1 + np.exp(-scores))))
        recalls.append(sk.recall_score(truth, scores > 0))
        assert found[f"auc_{name}"] == pytest.approx(areas[-1], abs=1e-3)
    assert found["auc"] == pytest.approx(np.mean(areas), abs=1e-3)
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["sensitivity"] == pytest.approx(np.mean(recalls))
    assert found["auc_low"] < found["auc"] < found["auc_high"]
    assert set(task.curves(total)["roc"]) == set(NAMES)


def test_what_is_unknown_counts_nowhere(make_study: Make) -> None:
    task = task_of(make_study)
    outputs, targets = draw(40, 2)
    strange = np.where(targets < 0, 1e3, outputs)
    same = tally(task, outputs, targets).flat()
    np.testing.assert_array_equal(tally(task, strange, targets).flat(), same)
    given_outputs, truth = torch.as_tensor(outputs).float(), torch.as_tensor(targets).float()
    given_outputs.requires_grad_()
    task.loss(given_outputs, truth).sum().backward()
    assert given_outputs.grad is not None
    assert bool((given_outputs.grad[truth < 0] == 0).all())
    assert bool((given_outputs.grad[truth >= 0] != 0).all())


def test_the_loss_is_one_value_a_sample(make_study: Make) -> None:
    task = task_of(make_study, positive_weights=[1.0, 4.0, 1.0])
    outputs = torch.zeros(2, 3)
    targets = torch.tensor([[1.0, 1.0, -1.0], [0.0, -1.0, -1.0]])
    expected = math.log(2) * torch.tensor([5.0, 1.0]) / 3
    torch.testing.assert_close(task.loss(outputs, targets), expected)
    alone = torch.cat([task.loss(outputs[i : i + 1], targets[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(task.loss(outputs, targets), alone)


@settings(max_examples=50, deadline=None)
@given(
    outputs=arrays(np.float32, (6, 3), elements=st.floats(-1e4, 1e4, width=32)),
    targets=arrays(np.int64, (6, 3), elements=st.integers(-1, 1)),
    weights=arrays(np.float64, 6, elements=st.floats(0.0625, 1)),
)
def test_tallies_add_and_no_unit_exceeds_the_bound(
    make_study: Make, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> None:
    task = task_of(make_study, bins=5)
    weights = weights / weights.sum()  # one unit of weight 1 in six samples
    whole = tally(task, outputs, targets, weights)
    parts = [tally(task, outputs[p], targets[p], weights[p]) for p in (slice(2), slice(2, 6))]
    np.testing.assert_allclose(whole.flat(), (parts[0] + parts[1]).flat(), atol=1e-9)
    assert np.linalg.norm(whole.flat()) <= task.tally_bound + 1e-9
    for row in range(6):
        alone = tally(task, outputs[row : row + 1], targets[row : row + 1])
        assert np.linalg.norm(alone.flat()) <= task.tally_bound + 1e-9
    assert {n: a.shape for n, a in whole.arrays.items()} == dict(task.tally_layout)


def test_the_bound_is_reached(make_study: Make) -> None:
    task = task_of(make_study)
    reached = np.linalg.norm(tally(task, np.full((1, 3), 50.0), np.zeros((1, 3))).flat())
    assert reached == pytest.approx(task.tally_bound)


def test_a_finding_that_nobody_has_spoils_no_mean(make_study: Make) -> None:
    task = task_of(make_study)
    outputs, targets = draw(200, 3)
    targets[:, 1] = np.minimum(targets[:, 1], 0)
    found = task.metrics(tally(task, outputs, targets))
    assert math.isnan(found["auc_nodule"])
    assert found["auc"] == pytest.approx((found["auc_effusion"] + found["auc_oedema"]) / 2)
    nobody = task.metrics(Tally.zeros(task.tally_layout))
    assert nobody.pop("count") == 0
    assert all(math.isnan(value) for value in nobody.values())
    task.curves(Tally.zeros(task.tally_layout))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"findings": ["a", "a"]}, "a name of its own"),
        ({"positive_weights": [1.0]}, "one positive weight"),
        ({"classes": ["a", "b"]}, "Unknown key 'classes'"),
    ],
)
def test_wrong_options_are_refused(make_study: Make, options: dict[str, object], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        task_of(make_study, **options)


def test_single_classes_are_refused(make_study: Make) -> None:
    task = {"name": "multilabel", "findings": NAMES, "classes": None}
    with pytest.raises(StudyError, match="any number of findings"):
        build_task(make_study(task=task))
