"""Masks all the way: training, private or not, flips that move masks too, and evaluation by patient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from client.data.cohort import Cohort
from client.training.batches import order_by_unit
from client.training.evaluation import evaluate
from client.training.plain import train_plain
from client.training.private import train_private
from client.training.workspace import Silent, Workspace
from common.privacy.noise import SecureRandom
from common.privacy.plan import plan_site
from common.study import Study
from common.study_file import parse_study
from common.weights import Vector, pack

SIDE, PATIENTS = 16, 40
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


@pytest.fixture
def study(content: Callable[..., dict[str, Any]]) -> Study:
    """Bright squares in noise are to be outlined."""
    tables = content(
        task={"name": "segmentation", "classes": None},
        model={"name": "unet", "channels": [4, 8]},
        training={"learning_rate": 1.0, "local_steps": 40, "augment": ["flip", "rotate"]},
        privacy={"noise_multiplier": 0.3, "sampling_rate": "1/2"},
    )
    tables["data"] = {"kind": "dicom", "image_size": SIDE, "labels": "mask"}
    tables["data"]["structures"] = ["square"]
    return parse_study(tables, where="test")


@pytest.fixture
def cohort() -> Cohort:
    """Two images a patient."""
    rng = np.random.default_rng(0)
    masks = np.zeros((2 * PATIENTS, SIDE, SIDE), dtype=np.uint8)
    for mask in masks:
        row, column = rng.integers(0, SIDE - 7, 2)
        mask[row : row + 7, column : column + 5] = 1
    images = (rng.normal(-0.5, 0.2, masks.shape) + masks)[:, None].astype(np.float32)
    held_out = np.arange(PATIENTS) % 2 == 0
    return Cohort(images, masks, np.repeat(np.arange(PATIENTS), 2), held_out, "declared")


def trained(study: Study, cohort: Cohort, private: bool) -> Vector:
    space, rows = Workspace(study), cohort.rows("train")
    start = pack(space.template.state_dict())
    samples = order_by_unit(
        cohort.inputs[rows], cohort.targets[rows], cohort.patient[rows], torch.device("cpu")
    )
    one, two = (SecureRandom.fixed(1, purpose) for purpose in ("sampling", "noise"))
    if private:
        return train_private(space, start, samples, plan_site(study, PATIENTS), one, two, Silent())
    return train_plain(space, start, samples, one, Silent())[0]


@pytest.mark.parametrize("private", [True, False])
def test_squares_are_found(study: Study, cohort: Cohort, private: bool) -> None:
    space = Workspace(study)
    start = pack(space.template.state_dict())
    tally = evaluate(space, trained(study, cohort, private), cohort)
    found = space.task.metrics(tally)
    assert found["dice"] > 0.6 > 2 * space.task.metrics(evaluate(space, start, cohort))["dice"]
    assert found["count"] == PATIENTS / 2, "every patient counts once, with two images"
