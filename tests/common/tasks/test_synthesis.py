"""Image synthesis: the error is of each image by itself, and its tally bounded whatever the network says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from common import diffusion
from common.errors import StudyError
from common.privacy.noise import SecureRandom
from common.study import Study
from common.tasks import build_task
from common.tasks.synthesis import TIMES, Synthesis

Make = Callable[..., Study]


SMALL = {"name": "denoiser", "channels": [4]}


def task_of(make_study: Make, classes: list[str] | None = None) -> Synthesis:
    task = {"name": "synthesis", "classes": classes}
    labels = "class" if classes else "none"
    made = build_task(make_study(task=task, model=SMALL, data={"labels": labels}))
    assert isinstance(made, Synthesis)
    return made


class Knows(nn.Module):
    """Answers a share of the true v of images that are all of one value."""

    def __init__(self, value: float, share: float) -> None:
        super().__init__()
        self.value, self.share = value, share

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        alpha, sigma = diffusion.levels(seen[:, -2, 0, 0], 4)
        noise = (seen[:, :1] - alpha * self.value) / sigma
        answer: torch.Tensor = self.share * (alpha * noise - sigma * self.value)
        return answer


@pytest.mark.parametrize(("share", "explained"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.75)])
def test_figures_say_how_much_is_explained(
    make_study: Make, share: float, explained: float
) -> None:
    task = task_of(make_study)
    images, none = torch.full((6, 1, 8, 8), 0.3), torch.zeros(6, dtype=torch.int64)
    outputs = task.examine(Knows(0.3, share), images, none)
    assert outputs.shape == (6, 2, len(TIMES))
    half = task.tally(outputs[:3], none[:3], images[:3], torch.ones(3))
    rest = task.tally(outputs[3:], none[3:], images[3:], torch.ones(3))
    found = task.metrics(half + rest)
    assert found["explained"] == pytest.approx(explained, abs=1e-4)
    assert found["count"] == 6
    assert task.curves(half)["plots"][0]["lines"][0]["x"] == list(TIMES)
    assert math.isnan(
        task.metrics(task.tally(outputs[:0], none[:0], images[:0], torch.ones(0)))["loss"]
    )


def test_what_an_image_adds_does_not_depend_on_the_others(make_study: Make) -> None:
    """Noise that went on from image to image would let one patient change all that come after."""
    task, network = task_of(make_study), nn.Conv2d(3, 1, 3, padding=1)
    images = torch.randn((5, 1, 8, 8), generator=torch.Generator().manual_seed(2))
    none = torch.zeros(5, dtype=torch.int64)
    together = task.examine(network, images, none)
    alone = task.examine(network, images[3:4], none[:1])
    torch.testing.assert_close(together[3:4], alone)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.floats(allow_nan=True, allow_infinity=True, width=32),
        min_size=2 * len(TIMES),
        max_size=2 * len(TIMES),
    )
)
def test_one_unit_adds_no_more_than_the_bound(make_study: Make, values: list[float]) -> None:
    task = task_of(make_study)
    outputs = torch.tensor(values).reshape(1, 2, -1)
    tally = task.tally(outputs, torch.zeros(1), torch.zeros(1, 1, 8, 8), torch.ones(1))
    assert np.linalg.norm(tally.flat()) <= task.tally_bound + 1e-9


def test_samples_are_prepared_each_by_itself(make_study: Make) -> None:
    task = task_of(make_study, ["no", "yes"])
    images = torch.rand((4, 1, 8, 8), generator=torch.Generator().manual_seed(3))
    classes = torch.tensor([0, 1, 1, 0])
    seen, asked = task.prepare(images, classes, SecureRandom.fixed(1, "x"))
    first, _ = task.prepare(images[:2], classes[:2], SecureRandom.fixed(1, "x"))
    torch.testing.assert_close(seen[:2], first)
    assert seen.shape == (4, 3, 8, 8)
    assert asked.shape == images.shape
    assert seen[:, 2, 0, 0].tolist() == [1, 2, 2, 1]
    times = seen[:, 1, 0, 0]
    assert len(times.unique()) == 4
    alpha, sigma = diffusion.levels(times, 4)
    torch.testing.assert_close(alpha * seen[:, :1] - sigma * asked, images)


@pytest.mark.parametrize(
    ("task", "data"),
    [
        ({"classes": ["a", "b"]}, {"labels": "none"}),
        ({"classes": None}, {"labels": "class"}),
        ({"classes": None, "copys": 3}, {"labels": "none"}),
        ({"classes": None}, {"labels": "classes"}),
    ],
)
def test_what_does_not_fit_is_refused(make_study: Make, task: dict, data: dict) -> None:
    with pytest.raises(StudyError) as caught:
        build_task(make_study(task={"name": "synthesis", **task}, model=SMALL, data=data))
    assert caught.value.fix


@pytest.mark.parametrize("model", ["linear", "compact-cnn", "unet"])
def test_models_that_draw_no_images_are_refused(make_study: Make, model: str) -> None:
    """Before anything is trained: `consilium study check` says so."""
    task, data = {"name": "synthesis", "classes": None}, {"labels": "none"}
    with pytest.raises(StudyError, match=f"'{model}' draws no images"):
        build_task(make_study(task=task, model={"name": model}, data=data))
