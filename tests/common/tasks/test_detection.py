"""Detection: a loss of each image by itself, finds matched to the truth, and figures that add over sites."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.study import Study
from common.study_file import parse_study
from common.tasks import build_task
from common.tasks.base import Tally
from common.tasks.detection import BINS, Detection
from common.tasks.figures.detection import average_precision, froc, sensitivity_at
from common.tasks.points.heat import PRIOR_LOG_ODDS, heat_of
from common.tasks.points.matching import overlap
from common.tasks.points.peaks import Found, peaks

SIDE = 16
Content = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def study(content: Content) -> Callable[..., Study]:
    """The function that returns a study of nodules on CT slices."""

    def make(data: dict[str, Any] | None = None, **options: Any) -> Study:
        tables = content(
            task={"name": "detection", "classes": None, **options}, model={"name": "centre-net"}
        )
        tables["data"] = {
            "kind": "dicom",
            "image_size": SIDE,
            "spacing_mm": 2.0,
            "labels": "points",
            "structures": ["nodule"],
            "max_points": 3,
            **(data or {}),
        }
        return parse_study(tables, where="test")

    return make


@pytest.fixture(scope="session")
def task(study: Callable[..., Study]) -> Detection:
    """The task with its defaults."""
    return built(study())


def built(study: Study) -> Detection:
    found = build_task(study)
    assert isinstance(found, Detection)
    return found


def points(*images: list[tuple[float, ...]], rows: int = 3) -> torch.Tensor:
    """Return points [B, rows, d + 1], given in pixels of an image of 16."""
    width = max(len(each) for image in images for each in image)
    made = torch.full((len(images), rows, width), -1.0)
    for row, image in zip(made, images, strict=True):
        for number, each in enumerate(image):
            where = [(pixel + 0.5) / SIDE for pixel in each[:-1]]
            row[number] = torch.tensor([*where, each[-1] / SIDE])
    return made


def outputs_of(*images: list[tuple[float, ...]], grid: int = SIDE) -> torch.Tensor:
    """Return the maps that say (row, column, diameter, score), in pixels, of each image."""
    maps = torch.zeros((len(images), 4, grid, grid))
    maps[:, 0] = -12.0
    for drawn, image in zip(maps, images, strict=True):
        for row, column, size, score in image:
            place = [(row + 0.5) / SIDE * grid, (column + 0.5) / SIDE * grid]
            cell = [int(part) for part in place]
            drawn[0, cell[0], cell[1]] = math.log(score / (1 - score)) - PRIOR_LOG_ODDS
            drawn[1, cell[0], cell[1]] = math.log(size / SIDE)
            drawn[2, cell[0], cell[1]], drawn[3, cell[0], cell[1]] = (
                part - number - 0.5 for part, number in zip(place, cell, strict=True)
            )
    return maps


def tally(
    task: Detection, outputs: torch.Tensor, truth: torch.Tensor, weights: Any = None
) -> Tally:
    each = torch.ones(len(truth)) if weights is None else weights
    return task.tally(outputs, truth, torch.zeros(len(truth), 1, SIDE, SIDE), each)


@pytest.mark.parametrize("grid", [16, 8])
def test_perfect_finds_are_perfect_in_every_figure(task: Detection, grid: int) -> None:
    images = [[(3.0, 4.2, 5.0), (11.0, 12.0, 3.0)], [(8.0, 8.0, 4.0)], []]
    said = outputs_of(*[[(*each, 0.9) for each in image] for image in images], grid=grid)
    figures = task.metrics(tally(task, said, points(*images)))
    for name in ("froc", "sensitivity_at_1", "map", "ap_10", "ap_30", "ap_50"):
        assert figures[name] == pytest.approx(1.0), name
    assert figures["points_per_image"] == pytest.approx(1.0)
    assert figures["count"] == 3


def test_finds_are_matched_as_the_challenge_does(task: Detection) -> None:
    """One hit a point, by the surest; a second find of it is not counted by distance, and false by overlap."""
    truth = points([(5.0, 5.0, 6.0)], [(5.0, 5.0, 6.0)])
    said = outputs_of(
        [(5.0, 5.0, 6.0, 0.9), (7.0, 5.0, 6.0, 0.6), (12.0, 12.0, 4.0, 0.7)],
        [(5.0, 9.0, 6.0, 0.8)],
    )
    sums = tally(task, said, truth).arrays
    at = [int(score * BINS) for score in (0.9, 0.6, 0.7, 0.8)]
    by_distance, by_overlap = sums["hits"][0], sums["hits"][1]
    assert by_distance.sum() == 1
    assert by_distance[at[0]] == 1
    assert sums["false"][0][at[1]] == 0
    assert sums["false"][0][at[2]] == 1
    assert sums["false"][0][at[3]] == 1, "4 px away from a middle, with a radius of 3"
    assert by_overlap.sum() == 2, "boxes overlap by a fifth"
    assert sums["false"][1][at[1]] == 1
    assert (sums["true"][0], sums["images"][0]) == (2, 2)


def test_the_surest_of_sure_cells_is_the_peak() -> None:
    """As shares all of them are 1."""
    said = torch.zeros(1, 4, 8, 8)
    said[0, 0] = -12.0
    said[0, 0, 3:6, 3:6] = 30.0
    said[0, 0, 4, 4] = 40.0
    found = peaks(said, 4, 0.05)
    assert found.score.tolist() == [[1.0, 0.0, 0.0, 0.0]]
    assert found.place[0, 0].tolist() == [4.5 / 8, 4.5 / 8]


def test_overlaps_of_boxes() -> None:
    found = Found(torch.ones(1, 1), torch.tensor([[[0.5, 0.5]]]), torch.tensor([[0.4]]))
    true = torch.tensor([[[0.5, 0.5, 0.4], [0.5, 0.7, 0.4], [0.5, 0.5, 0.2], [0.1, 0.1, 0.2]]])
    shared = overlap(found, true, torch.ones(2))[0, 0]
    torch.testing.assert_close(shared, torch.tensor([1.0, 1 / 3, 1 / 4, 0.0]))
    wide = overlap(found, true, torch.tensor([1.0, 2.0]))[0, 0]
    assert wide[1] < 1e-6, "twice as long an axis takes them apart"


def test_figures_by_hand() -> None:
    """Four points in two images; from the highest score down: hit, false, hit, false, false."""
    hits, false = np.array([0, 0, 1, 0, 1.0]), np.array([1, 1, 0, 1, 0.0])
    rates, sensitivity = froc(hits, false, 4, 2)
    assert rates.tolist() == [0, 0.5, 0.5, 1.0, 1.5]
    assert sensitivity.tolist() == [0.25, 0.25, 0.5, 0.5, 0.5]
    assert [sensitivity_at(rates, sensitivity, rate) for rate in (0.125, 0.5, 8)] == [
        0.25,
        0.5,
        0.5,
    ]
    assert average_precision(hits, false, 4) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)


def test_the_loss_is_lowest_at_the_truth_and_of_each_image_alone(task: Detection) -> None:
    truth = points([(3.0, 4.2, 5.0), (11.0, 12.0, 3.0)], [], [(8.0, 8.0, 4.0)])
    said = outputs_of([(3.0, 4.2, 5.0, 0.99), (11.0, 12.0, 3.0, 0.99)], [], [(8.0, 8.0, 4.0, 0.99)])
    losses = task.loss(said, truth)
    assert losses.shape == (3,)
    assert (losses < 0.05).all()
    assert (task.loss(torch.zeros_like(said), truth) > losses + 0.2).all()
    for number in range(3):
        own = task.loss(said[number : number + 1], truth[number : number + 1])
        torch.testing.assert_close(own[0], losses[number])
    for channel, shift in ((0, -1.0), (1, 0.5), (2, 0.3)):
        worse = said.clone()
        worse[:, channel] += shift
        assert task.loss(worse, truth)[0] > losses[0]


def test_heat_ends_at_the_edge_in_every_direction() -> None:
    """Slices twice as far apart as pixels: a ball is half as many cells high."""
    heat = heat_of(
        torch.tensor([[[0.5, 0.5, 0.5, 0.75], [-1.0] * 4]]), (16, 16, 16), (2.0, 1.0, 1.0)
    )
    assert heat.max() == 1
    assert heat[0, 8, 8, 8] == 1
    torch.testing.assert_close(heat[0, 11, 8, 8], heat[0, 8, 14, 8])
    assert heat[0, 8, 14, 8] == pytest.approx(math.exp(-4.5))
    assert not heat_of(torch.full((1, 2, 3), -1.0), (4, 4), (1.0, 1.0)).any()


def test_a_map_without_points_has_gradients(task: Detection) -> None:
    said = torch.randn(2, 4, 8, 8, requires_grad=True)
    task.loss(said, torch.full((2, 3, 3), -1.0)).sum().backward()
    assert said.grad is not None
    assert torch.isfinite(said.grad).all()
    assert (said.grad[:, 1:] == 0).all()


def test_answers_are_pixels_and_millimetres(task: Detection) -> None:
    told = task.answers(outputs_of([(3.0, 4.2, 5.0, 0.9)], [], grid=8))
    assert list(told)[:4] == ["score_1", "row_1", "column_1", "diameter_mm_1"]
    assert len(told) == 4 * 4
    assert [told[name][0] for name in list(told)[:4]] == pytest.approx([0.9, 3.0, 4.2, 10.0], 1e-3)
    assert all(column[1] is None for column in told.values())
    assert all(told[f"score_{number}"][0] is None for number in (2, 3, 4))
    sure = task.scores()["nodule"](outputs_of([(3.0, 4.2, 5.0, 0.9)]))
    assert float(sure[0].sigmoid()) == pytest.approx(0.9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 3), most=st.integers(1, 4))
def test_nobody_adds_more_than_the_bound(
    study: Callable[..., Study], seed: int, rows: int, most: int
) -> None:
    """A patient with two samples, each of half the weight."""
    task = built(study({"max_points": rows}, candidates=most, least_score=0.0))
    drawn = torch.Generator().manual_seed(seed)
    truth = torch.rand((2, rows, 3), generator=drawn)
    truth[torch.rand((2, rows), generator=drawn) < 0.3] = -1.0
    said = 4 * torch.randn((2, 4, 8, 8), generator=drawn)
    assert np.linalg.norm(tally(task, said, truth, torch.full((2,), 0.5)).flat()) <= (
        task.tally_bound + 1e-9
    )


def test_the_bound_is_reached(study: Callable[..., Study]) -> None:
    task = built(study({"max_points": 2}, candidates=2))
    image = [(3.0, 4.0, 5.0), (11.0, 12.0, 3.0)]
    said = outputs_of([(*each, 0.9) for each in image])
    norm = float(np.linalg.norm(tally(task, said, points(image, rows=2)).flat()))
    assert norm == pytest.approx(task.tally_bound)


def test_tallies_add(task: Detection) -> None:
    drawn = torch.Generator().manual_seed(1)
    truth, said = torch.rand((6, 3, 3), generator=drawn), torch.randn((6, 4, 8, 8), generator=drawn)
    whole = tally(task, said, truth)
    parts = tally(task, said[:2], truth[:2]) + tally(task, said[2:], truth[2:])
    np.testing.assert_allclose(whole.flat(), parts.flat())
    assert whole.arrays.keys() == task.tally_layout.keys()
    assert all(whole.arrays[n].shape == shape for n, shape in task.tally_layout.items())


def test_noise_hides_few_points(task: Detection) -> None:
    said, truth = outputs_of([(3.0, 4.0, 5.0, 0.9)]), points([(3.0, 4.0, 5.0)])
    exact = tally(task, said, truth)
    noisy = Tally(exact.arrays, variance=1.0)
    assert math.isnan(task.metrics(noisy)["froc"])
    assert task.curves(noisy) == {}
    drawn = task.curves(exact)
    assert drawn["plots"][0]["lines"][0]["y"][-1] == 1.0
    assert [row["name"] for row in drawn["tables"][0]["rows"]][:2] == ["0.125", "0.25"]


def test_what_does_not_fit_is_refused(study: Callable[..., Study]) -> None:
    with pytest.raises(StudyError, match="points with a size"):
        build_task(study({"labels": "mask", "max_points": None}))
    with pytest.raises(StudyError, match="Did you mean 'candidates'"):
        build_task(study(candidate=3))
    with pytest.raises(StudyError, match="rising shares"):
        build_task(study(overlaps=[0.5, 0.3]))
    with pytest.raises(StudyError, match="one structure"):
        study({"structures": ["nodule", "node"]})
    with pytest.raises(StudyError, match="max_points belongs"):
        study({"labels": "mask"})
