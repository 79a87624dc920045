"""Evaluation by subgroup: every held-out patient in its group, small groups emptied where nothing hides them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from client.data.cohort import Cohort
from client.training.evaluation import evaluate
from client.training.workspace import Workspace
from common.study import Study
from common.weights import pack

Make = Callable[..., Study]
SUBGROUPS = ["sex", {"name": "age", "bands": [50]}]


def cohort(sexes: list[int], shape: tuple[int, ...], targets_differ: bool = False) -> Cohort:
    """Two samples a patient, all held out."""
    rng, count = np.random.default_rng(1), len(sexes)
    label = np.repeat(np.arange(count) % 2, 2)
    if targets_differ:
        label[::2] = 1 - label[::2]
    return Cohort(
        inputs=rng.normal(size=(2 * count, *shape)).astype(np.float32),
        targets=label.astype(np.int64),
        patient=np.repeat(np.arange(count), 2),
        is_test=np.ones(count, np.bool_),
        split_id="declared",
        groups=np.stack([sexes, np.full(count, -1)], 1).astype(np.int64),
    )


def space_of(make_study: Make, **evaluation: object) -> Workspace:
    study = make_study(evaluation={"subgroups": SUBGROUPS, "smallest_group": 3, **evaluation})
    return Workspace(study, torch.device("cpu"))


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("per", ["patient", "sample"])
def test_every_patient_counts_in_its_group(make_study: Make, per: str, differ: bool) -> None:
    space = space_of(make_study, per=per)
    data = cohort([0, 0, 0, 0, 1, 1, 1, -1], space.study.data.model_shape, differ)
    found = evaluate(space, pack(space.template.state_dict()), data)
    each = 2 if per == "sample" else 1
    sums = found.arrays["sex/confusion"].sum((1, 2)) / each
    np.testing.assert_allclose(sums, [4, 3, 1])
    np.testing.assert_allclose(found.arrays["age/confusion"].sum((1, 2)) / each, [0, 0, 8])


def test_exact_statistics_hide_small_groups_and_noisy_ones_have_no_need(make_study: Make) -> None:
    space = space_of(make_study)
    data = cohort([0, 0, 0, 0, 1, 1, 1, -1], space.study.data.model_shape)
    weights = pack(space.template.state_dict())
    found = evaluate(space, weights, data, exact=True)
    sums = found.arrays["sex/confusion"].sum((1, 2))
    np.testing.assert_allclose(sums, [4, 0, 0], err_msg="the one unknown would follow from 8 − 7")
    assert found.arrays["confusion"].sum() == 8
    assert evaluate(space, weights, data).arrays["sex/confusion"].sum() == 8
