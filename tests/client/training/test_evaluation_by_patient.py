"""Evaluation by patient: how a patient is counted hangs on that patient alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from client.data.cohort import Cohort
from client.training.evaluation import evaluate
from client.training.workspace import Workspace
from common.study import Study
from common.weights import pack

Make = Callable[..., Study]
EACH = 4


def cohort(patients: int, shape: tuple[int, ...], mixed: int = 0) -> Cohort:
    """Four samples a patient, all held out; the last `mixed` patients have samples of both classes."""
    labels = np.repeat(np.arange(patients) % 2, EACH)
    labels[(patients - mixed) * EACH :: EACH] ^= 1
    inputs = np.random.default_rng(5).normal(size=(patients * EACH, *shape))
    return Cohort(
        inputs=inputs.astype(np.float32),
        targets=labels.astype(np.int64),
        patient=np.repeat(np.arange(patients), EACH),
        is_test=np.ones(patients, np.bool_),
        split_id="declared",
    )


def test_a_patient_with_two_labels_moves_the_tally_by_its_bound_at_most(make_study: Make) -> None:
    space = Workspace(make_study(model={"name": "linear"}), torch.device("cpu"))
    weights, shape = pack(space.template.state_dict()), space.study.data.model_shape
    weights = np.random.default_rng(6).normal(size=len(weights)).astype(np.float32)
    without, with_one = (
        evaluate(space, weights, cohort(count, shape, mixed)) for count, mixed in ((30, 0), (31, 1))
    )
    moved = [with_one.arrays[name] - without.arrays[name] for name in without.arrays]
    distance = float(np.sqrt(sum((each**2).sum() for each in moved)))
    assert 0 < distance <= space.task.tally_bound + 1e-9


def test_a_patient_with_two_labels_counts_as_one_in_shares(make_study: Make) -> None:
    space = Workspace(make_study(model={"name": "linear"}), torch.device("cpu"))
    weights, shape = pack(space.template.state_dict()), space.study.data.model_shape
    found = evaluate(space, weights, cohort(3, shape, mixed=1)).arrays["confusion"].sum(1)
    np.testing.assert_allclose(found, [1 + 3 / 4, 1 + 1 / 4])
