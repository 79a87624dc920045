"""Segmentation: a loss of each image by itself, and figures that add over batches and sites."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss
from monai.metrics import DiceMetric, HausdorffDistanceMetric

from common.errors import StudyError
from common.study import Study
from common.study_file import parse_study
from common.tasks import build_task
from common.tasks.base import Tally
from common.tasks.segmentation import Segmentation

SIDE = 12
Content = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def study(content: Content) -> Callable[..., Study]:
    """The function that returns a study of CT slices with masks of two structures."""

    def make(data: dict[str, Any] | None = None, **options: Any) -> Study:
        tables = content(
            task={"name": "segmentation", "classes": None, **options}, model={"name": "unet"}
        )
        tables["data"] = {
            "kind": "dicom",
            "image_size": SIDE,
            "spacing_mm": 2.0,
            "labels": "mask",
            "structures": ["lung", "nodule"],
            **(data or {}),
        }
        return parse_study(tables, where="test")

    return make


@pytest.fixture(scope="session")
def task(study: Callable[..., Study]) -> Segmentation:
    """The task with its defaults."""
    return built(study())


def built(study: Study) -> Segmentation:
    found = build_task(study)
    assert isinstance(found, Segmentation)
    return found


def outputs_for(numbers: torch.Tensor, sure: float = 8.0) -> torch.Tensor:
    """Return outputs of a network that draws these numbers."""
    return sure * torch.nn.functional.one_hot(numbers.long(), 3).movedim(-1, 1).float()


def random_masks(count: int, seed: int, side: int = SIDE) -> torch.Tensor:
    """Return masks with blobs of the two structures, some of them without."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, side, side), dtype=np.uint8)
    for mask in masks:
        for number in (1, 2):
            if rng.random() < 0.8:
                row, column = rng.integers(0, side - 3, 2)
                mask[row : row + rng.integers(1, 5), column : column + rng.integers(1, 5)] = number
    return torch.from_numpy(masks)


def tally(
    task: Segmentation, drawn: torch.Tensor, truth: torch.Tensor, weights: Any = None
) -> Tally:
    weight = torch.ones(len(truth)) if weights is None else torch.as_tensor(weights)
    return task.tally(outputs_for(drawn), truth, torch.zeros(len(truth), 1, 2, 2), weight)


def test_the_loss_is_monais_dice_and_cross_entropy_of_each_image(task: Segmentation) -> None:
    truth, outputs = random_masks(5, 1), torch.randn(5, 3, SIDE, SIDE)
    dice = DiceLoss(False, True, softmax=True, reduction="none", smooth_nr=1.0, smooth_dr=1.0)
    for row in range(5):
        own, mask = outputs[row : row + 1], truth[row : row + 1]
        expected = dice(own, mask.unsqueeze(1)).mean()
        expected += torch.nn.functional.cross_entropy(own, mask.long())
        torch.testing.assert_close(task.loss(outputs, truth)[row], expected)


def test_an_images_loss_does_not_depend_on_the_others(task: Segmentation) -> None:
    truth, outputs = random_masks(4, 2), torch.randn(4, 3, SIDE, SIDE)
    before = task.loss(outputs, truth)[0]
    outputs[1:], truth[1:] = 50.0, 0
    torch.testing.assert_close(task.loss(outputs, truth)[0], before)


def test_the_parts_of_the_loss(study: Callable[..., Study], task: Segmentation) -> None:
    truth, outputs = random_masks(3, 3), torch.randn(3, 3, SIDE, SIDE)
    dice, entropy = (built(study(loss=kind)).loss(outputs, truth) for kind in ("dice", "ce"))
    torch.testing.assert_close(dice + entropy, task.loss(outputs, truth))
    heavy = built(study(loss="ce", class_weights=[1, 1, 1000])).loss(outputs, truth)
    assert ((heavy > 10 * entropy) == (truth == 2).flatten(1).any(1)).all()


def test_the_figures_are_monais(task: Segmentation) -> None:
    truth, drawn = random_masks(40, 4), random_masks(40, 5)
    kept = ((drawn == 1).flatten(1).any(1) & (drawn == 2).flatten(1).any(1)).nonzero().flatten()
    truth, drawn = truth[kept], drawn[kept]
    found = task.metrics(tally(task, drawn, truth))
    pair = [torch.nn.functional.one_hot(m.long(), 3).movedim(-1, 1) for m in (drawn, truth)]
    dice = DiceMetric(include_background=False, reduction="mean_batch")
    dice(*pair)
    assert found["dice"] == pytest.approx(float(dice.aggregate().mean()))
    distance = HausdorffDistanceMetric(percentile=95, reduction="none")
    distance(*pair, spacing=(2.0, 2.0))
    ceiling = (SIDE - 1) * 2.0 * math.sqrt(2) / 2
    each = np.minimum(distance.aggregate().numpy(), ceiling)
    assert found["hausdorff95_mm"] == pytest.approx(float(np.nanmean(each, 0).mean()))


def test_pooled_figures_are_those_of_all_pixels_together(task: Segmentation) -> None:
    truth, drawn = random_masks(9, 6), random_masks(9, 7)
    parts = [tally(task, drawn[rows], truth[rows]) for rows in (slice(0, 2), slice(2, 9))]
    found = task.metrics(parts[0] + parts[1])
    overlap = [((drawn == n) & (truth == n)).sum() for n in (1, 2)]
    either = [((drawn == n) | (truth == n)).sum() for n in (1, 2)]
    iou = float(np.mean([a / b for a, b in zip(overlap, either, strict=True)]))
    assert found["pooled_iou"] == pytest.approx(iou)
    assert found == pytest.approx(task.metrics(tally(task, drawn, truth)))


def test_a_perfect_and_an_empty_drawing(task: Segmentation) -> None:
    truth = random_masks(20, 8)
    best = task.metrics(tally(task, truth, truth))
    assert best["dice"] == best["pooled_iou"] == 1.0
    assert best["hausdorff95_mm"] == 0.0
    worst = task.metrics(tally(task, torch.zeros_like(truth), truth))
    assert worst["dice"] == 0.0
    assert worst["hausdorff95_mm"] == pytest.approx(task.ceiling), "a missed structure is far away"


def test_images_without_a_structure_count_for_it_only_in_the_pixels(task: Segmentation) -> None:
    truth = torch.zeros((3, SIDE, SIDE), dtype=torch.uint8)
    truth[0, 2:5, 2:5] = 1
    drawn = truth.clone()
    drawn[1, :2, :2] = 1
    sums = tally(task, drawn, truth)
    assert sums.arrays["present"].tolist() == [1, 0]
    found = task.metrics(sums)
    assert found["dice_lung"] == 1.0
    assert found["pooled_dice"] == pytest.approx(2 * 9 / (9 + 13))
    assert math.isnan(found["dice_nodule"])
    assert found["dice"] == 1.0, "nobody has a nodule, so it is no part of the mean"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_a_unit_adds_no_more_than_the_bound(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    truth, drawn = random_masks(samples, seed), random_masks(samples, seed + 1)
    weights = rng.dirichlet(np.ones(samples))
    own = tally(TASK, drawn, truth, weights)
    assert np.linalg.norm(own.flat()) <= TASK.tally_bound
    assert all((value >= 0).all() for value in own.arrays.values())


TASK: Segmentation


@pytest.fixture(autouse=True)
def _shared(task: Segmentation) -> None:
    global TASK
    TASK = task


def test_the_bound_is_nearly_reached(study: Callable[..., Study]) -> None:
    small = built(study(hausdorff_ceiling=1.0))
    truth = torch.full((1, SIDE, SIDE), 1, dtype=torch.uint8)
    truth[0, 0, 0] = 2
    drawn = truth.clone()
    reached = np.linalg.norm(tally(small, drawn, truth).flat())
    far = math.sqrt(small.tally_bound**2 - 2)  # both are drawn exactly, so no distance is added
    assert 0.99 * far < reached <= far


def test_distances_are_in_pixels_where_millimetres_are_not_known(
    study: Callable[..., Study],
) -> None:
    truth = random_masks(5, 9)
    for data in ({"spacing_mm": None}, {"steps": [{"name": "resize", "size_px": SIDE}]}):
        task = built(study(data=data))
        assert "hausdorff95_px" in task.metrics(tally(task, truth, truth))
    volume = built(study(data={"depth": 4, "slice_spacing_mm": 3.0}))
    assert volume.grid.shape == (4, SIDE, SIDE)
    assert volume.grid.spacing == (3.0, 2.0, 2.0)


def test_volumes(study: Callable[..., Study]) -> None:
    task = built(study(data={"depth": 6, "slice_spacing_mm": 3.0}))
    truth = random_masks(12, 10).reshape(2, 6, SIDE, SIDE)
    outputs = torch.randn(2, 3, 6, SIDE, SIDE, requires_grad=True)
    assert task.loss(outputs, truth).shape == (2,)
    found = task.metrics(tally(task, truth, truth))
    assert found["dice"] == 1.0


def test_noise_that_makes_a_figure_impossible_makes_it_unknown(task: Segmentation) -> None:
    sums = dict(tally(task, random_masks(9, 1), random_masks(9, 2)).arrays)
    sums["present"] = np.array([-1.0, 4.0])
    found = task.metrics(Tally(sums, variance=1.0))
    assert math.isnan(found["dice_lung"])
    assert found["dice"] == found["dice_nodule"]


def test_wrong_options_are_refused(study: Callable[..., Study]) -> None:
    with pytest.raises(StudyError, match="3 positive ones are needed"):
        build_task(study(class_weights=[1.0, 2.0]))
    with pytest.raises(StudyError, match=r"dice-ce") as caught:
        build_task(study(loss="focal"))
    assert "task" in str(caught.value)
    with pytest.raises(StudyError, match="a mask of structures"):
        build_task(study(data={"labels": "none", "structures": []}))
