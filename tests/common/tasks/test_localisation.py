"""Localisation: learned from whole images alone, scored by where the map points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from battery import check_private
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import parse_study
from common.tasks import build_task
from common.tasks.base import Tally
from common.tasks.localisation import Localisation
from common.tasks.points.regions import overlap, region_of

SIDE = 8
Content = Callable[..., dict[str, Any]]
MakeStudy = Callable[..., Study]


@pytest.fixture(scope="session")
def study(content: Content) -> MakeStudy:
    """The function that returns a study of masses on CT slices."""

    def make(
        data: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **options: Any
    ) -> Study:
        tables = content(
            task={"name": "localisation", "classes": None, **options},
            model={"name": "bag-net", "channels": [4, 4], **(model or {})},
        )
        tables["data"] = {
            "kind": "dicom",
            "image_size": SIDE,
            "spacing_mm": 2.0,
            "labels": "points",
            "structures": ["mass"],
            **(data or {}),
        }
        return parse_study(tables, where="test")

    return make


@pytest.fixture(scope="session")
def task(study: MakeStudy) -> Localisation:
    """The task with its defaults."""
    return built(study())


def built(study: Study) -> Localisation:
    found = build_task(study)
    assert isinstance(found, Localisation)
    return found


def points(*images: tuple[float, ...] | None) -> torch.Tensor:
    """Return one point [B, 1, d + 1] of each image, given in pixels; None: there is none."""
    width = max(len(each) for each in images if each is not None)
    made = torch.full((len(images), 1, width), -1.0)
    for row, each in zip(made, images, strict=True):
        if each is not None:
            where = [(pixel + 0.5) / SIDE for pixel in each[:-1]]
            row[0] = torch.tensor([*where, each[-1] / SIDE])
    return made


def maps(*highest: tuple[int, int], grid: int = SIDE, height: float = 9.0) -> torch.Tensor:
    """Return maps [B, 1, grid, grid] with one high cell each."""
    drawn = torch.full((len(highest), 1, grid, grid), -3.0)
    for image, (row, column) in zip(drawn, highest, strict=True):
        image[0, row, column] = height
    return drawn


def tally(task: Localisation, outputs: torch.Tensor, truth: torch.Tensor) -> Tally:
    return task.tally(
        outputs, truth, torch.zeros(len(truth), 1, SIDE, SIDE), torch.ones(len(truth))
    )


def test_a_region_is_a_disc_and_never_empty() -> None:
    found = region_of(points((3.0, 4.0, 2.9), (0.4, 7.0, 0.1), None), (SIDE, SIDE), (1.0, 1.0))
    expected = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    expected[2:5, 3:6] = True
    assert found[0].equal(expected), "the corners are √2 < 1.45 away"
    assert found[1].nonzero().tolist() == [[0, 7]]
    assert not found[2].any()
    flat = region_of(points((3.0, 4.0, 4.0, 3.0)), (SIDE,) * 3, (2.0, 1.0, 1.0))[0]
    assert flat[3].sum() == 9
    assert not flat[2].any(), "slices lie 2 px apart"


@pytest.mark.parametrize("grid", [8, 4])
def test_who_points_at_it_hits(task: Localisation, grid: int) -> None:
    times = SIDE // grid
    cells = [(3 // times, 4 // times), (7 // times, 0), (0, 0)]
    figures = task.metrics(
        tally(task, maps(*cells, grid=grid), points((3.0, 4.0, 4.0), (3.0, 4.0, 4.0), None))
    )
    assert figures["pointing"] == pytest.approx(0.5)
    assert 0 < figures["pointing_low"] < 0.5 < figures["pointing_high"] < 1
    assert figures["baseline_pointing"] == pytest.approx(13 / 64), "pixels within 2 px"
    assert figures["count"] == 3
    assert figures["accuracy"] == pytest.approx(2 / 3), "the third map says that there is one"


def test_training_never_sees_where(task: Localisation) -> None:
    said = maps((3, 4))
    one, other = points((3.0, 4.0, 4.0)), points((6.0, 1.0, 2.0))
    assert task.loss(said, one).equal(task.loss(said, other))
    assert task.loss(said, one)[0] < 0.1 < 3 < task.loss(said, torch.full((1, 1, 3), -1.0))[0]


def test_each_image_has_a_loss_of_its_own(task: Localisation) -> None:
    drawn = torch.randn((4, 1, 4, 4), generator=torch.Generator().manual_seed(1))
    truth = points((3.0, 4.0, 4.0), None, (1.0, 1.0, 2.0), None)
    alone = [task.loss(drawn[n : n + 1], truth[n : n + 1])[0] for n in range(4)]
    torch.testing.assert_close(task.loss(drawn, truth), torch.stack(alone))


def test_sharpness_goes_from_the_mean_to_the_highest(study: MakeStudy) -> None:
    drawn = torch.randn((3, 1, 4, 4), generator=torch.Generator().manual_seed(1))
    soft, mid, sharp = (built(study(sharpness=s)).log_odds(drawn) for s in (0.0, 2.0, 100.0))
    torch.testing.assert_close(soft, drawn.flatten(1).mean(1))
    torch.testing.assert_close(sharp, drawn.flatten(1).amax(1), atol=0.03, rtol=0)
    assert ((soft < mid) & (mid < sharp)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), samples=st.integers(1, 3))
def test_nobody_adds_more_than_the_bound(task: Localisation, seed: int, samples: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    truth = torch.rand((samples, 2, 3), generator=drawn) * torch.tensor([1.0, 1.0, 3.0])
    truth[torch.rand((samples, 2), generator=drawn) < 0.3] = -1.0
    said = 20 * torch.randn((samples, 1, 4, 4), generator=drawn)
    weights = torch.full((samples,), 1 / samples)
    added = task.tally(said, truth, torch.zeros(samples, 1, SIDE, SIDE), weights)
    assert np.linalg.norm(added.flat()) <= task.tally_bound + 1e-9
    assert {name: value.shape for name, value in added.arrays.items()} == dict(task.tally_layout)


def test_the_bound_is_reached(task: Localisation) -> None:
    """Who has a finding as large as the image, and is told for sure that there is none."""
    added = tally(task, torch.full((1, 1, 4, 4), -99.0), points((3.0, 4.0, 40.0)))
    assert np.linalg.norm(added.flat()) == pytest.approx(task.tally_bound)
    assert task.tally_bound == pytest.approx(math.sqrt(5))


def test_noise_hides_few_findings(task: Localisation) -> None:
    exact = tally(task, maps((3, 4)), points((3.0, 4.0, 4.0)))
    assert task.metrics(exact)["pointing"] == 1
    assert task.curves(exact)["tables"][0]["rows"][0]["values"] == [1.0]
    assert "tables" not in task.curves(Tally(exact.arrays, variance=1.0))
    hidden = task.metrics(Tally(exact.arrays, variance=1.0))
    assert math.isnan(hidden["pointing"])
    assert math.isnan(hidden["baseline_pointing"])


def test_answers_are_chances_and_pixels(task: Localisation) -> None:
    told = task.answers(maps((1, 3), grid=4, height=12.0))
    assert list(told) == ["score_1", "row_1", "column_1"]
    assert told["score_1"][0] == pytest.approx(1.0, abs=1e-3)
    assert (told["row_1"], told["column_1"]) == ([2.5], [6.5])
    raised = task.scores()["mass"](maps((1, 3), grid=4, height=13.0))
    assert float(raised) > float(task.scores()["mass"](maps((1, 3), grid=4, height=12.0)))


@pytest.mark.parametrize(("sharpness", "depth"), [(0.0, None), (4.0, None), (4.0, SIDE)])
def test_private_gradients(study: MakeStudy, sharpness: float, depth: int | None) -> None:
    width = 3 if depth is None else 4
    targets = torch.rand((7, 2, width), generator=torch.Generator().manual_seed(5))
    targets[:3] = -1.0
    check_private(study({"depth": depth}, sharpness=sharpness), targets)


@pytest.mark.parametrize("depth", [None, 8])
def test_a_network_learns_to_point(study: MakeStudy, depth: int | None) -> None:
    """Whole labels alone: bright spots at places that differ, in images and in volumes."""
    fine = study({"depth": depth}, {"channels": [8], "stride": 1})
    task, shape = built(fine), (SIDE,) * (2 if depth is None else 3)
    network = build_model(fine, task.outputs)
    drawn = torch.Generator().manual_seed(2)
    images = 0.2 * torch.randn((64, 1, *shape), generator=drawn)
    cells = torch.randint(1, SIDE - 1, (64, len(shape)), generator=drawn)
    truth = torch.cat([(cells + 0.5) / SIDE, torch.full((64, 1), 3 / SIDE)], 1).unsqueeze(1)
    truth[::2] = -1.0
    for number in range(1, 64, 2):
        images[(number, 0, *(slice(c - 1, c + 2) for c in cells[number].tolist()))] = 1.0
    steps = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        steps.zero_grad()
        task.loss(network(images), truth).mean().backward()
        steps.step()
    with torch.no_grad():
        figures = task.metrics(task.tally(network(images), truth, images, torch.ones(64)))
    assert figures["auc"] > 0.95
    assert figures["pointing"] > 0.8 > 0.2 > figures["baseline_pointing"]


MASKS: dict[str, Any] = {"labels": "mask"}


def masks(*images: tuple[slice, slice] | None) -> torch.Tensor:
    """Return masks [B, SIDE, SIDE] with one rectangle of each image; None: there is none."""
    drawn = torch.zeros((len(images), SIDE, SIDE), dtype=torch.uint8)
    for mask, each in zip(drawn, images, strict=True):
        if each is not None:
            mask[each] = 1
    return drawn


def test_masks_are_pointed_at_and_covered(study: MakeStudy) -> None:
    """One map hits and covers half of a rectangle, one misses it, and one image shows none."""
    task = built(study(MASKS))
    said = torch.full((3, 1, SIDE, SIDE), -3.0)
    said[0, 0, 2:4, 2:4] = 9.0
    said[0, 0, 3, 3] = 9.5
    said[1, 0, 7, 7] = 9.0
    truth = masks((slice(2, 4), slice(2, 6)), (slice(0, 2), slice(0, 2)), None)
    figures = task.metrics(tally(task, said, truth))
    assert figures["pointing"] == pytest.approx(0.5)
    assert figures["iou"] == pytest.approx((0.5 + 0) / 2)
    assert figures["baseline_iou"] == figures["baseline_pointing"] == pytest.approx(6 / 64)
    assert figures["accuracy"] == 1
    rows = task.curves(tally(task, said, truth))["tables"][1]["rows"]
    assert [row["values"] for row in rows] == [[figures["iou"]], [figures["baseline_iou"]]]


def test_masks_teach_no_more_than_whole_images(study: MakeStudy) -> None:
    task, said = built(study(MASKS)), maps((3, 4))
    one, other = masks((slice(2, 4), slice(2, 6))), masks((slice(0, 1), slice(0, 1)))
    assert task.loss(said, one).equal(task.loss(said, other))
    assert task.loss(said, one)[0] < 0.1 < 3 < task.loss(said, masks(None))[0]
    check_private(
        study(MASKS), (torch.arange(7 * SIDE * SIDE).reshape(7, SIDE, SIDE) % 499 == 0).byte()
    )


def test_a_coarse_map_covers_what_lies_under_its_cells() -> None:
    region = torch.zeros((1, SIDE, SIDE), dtype=torch.bool)
    region[:, :, :4] = True
    halves = torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]]])
    assert overlap(halves, region).tolist() == [1.0]
    assert overlap(-halves, region).tolist() == [0.0]
    assert overlap(torch.zeros(1, 1, 2, 2), region).tolist() == [0.5], "a flat map is all of it"
    assert overlap(halves, torch.zeros_like(region)).tolist() == [0.0]
    volume = region[:, None].expand(1, 4, SIDE, SIDE)
    assert overlap(halves[:, :, None].expand(1, 1, 2, 2, 2), volume).tolist() == [1.0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), samples=st.integers(1, 3))
def test_nobody_adds_more_than_the_bound_of_masks(
    study: MakeStudy, seed: int, samples: int
) -> None:
    task = built(study(MASKS))
    drawn = torch.Generator().manual_seed(seed)
    truth = (torch.rand((samples, SIDE, SIDE), generator=drawn) < 0.1 * (seed % 11)).byte()
    said = 20 * torch.randn((samples, 1, 4, 4), generator=drawn)
    weights = torch.full((samples,), 1 / samples)
    added = task.tally(said, truth, torch.zeros(samples, 1, SIDE, SIDE), weights)
    assert np.linalg.norm(added.flat()) <= task.tally_bound + 1e-9
    assert {name: value.shape for name, value in added.arrays.items()} == dict(task.tally_layout)


def test_the_bound_of_masks_is_reached(study: MakeStudy) -> None:
    task = built(study(MASKS))
    added = tally(task, torch.full((1, 1, 4, 4), -99.0), masks((slice(None), slice(None))))
    assert np.linalg.norm(added.flat()) == pytest.approx(task.tally_bound)
    assert task.tally_bound == pytest.approx(math.sqrt(6))
    hidden = task.metrics(Tally(added.arrays, variance=1.0))
    assert all(math.isnan(hidden[name]) for name in ("pointing", "iou", "baseline_iou"))


def test_studies_of_points_count_what_they_did(task: Localisation) -> None:
    assert "overlap" not in task.tally_layout
    assert "iou" not in task.metrics(tally(task, maps((3, 4)), points((3.0, 4.0, 4.0))))


def test_what_does_not_fit_is_refused(study: MakeStudy, content: Content) -> None:
    with pytest.raises(StudyError, match="a mask of structures or points with a size"):
        build_task(study({"labels": "class", "structures": []}))
    with pytest.raises(StudyError, match="looks for one finding"):
        build_task(study(MASKS | {"structures": ["mass", "lung"]}))
    with pytest.raises(StudyError, match="Did you mean 'sharpness'"):
        build_task(study(sharpnes=3))
