"""The network of image synthesis: private with every engine, told time and class, and refused what it cannot take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from battery import check_private

from common.diffusion import conditioned
from common.errors import StudyError
from common.models import build_model
from common.models.waves import Whole, cosines
from common.study import Study

Make = Callable[..., Study]
SMALL = {"name": "denoiser", "channels": [4, 8], "groups": 2, "embedding": 6}


def study_of(make_study: Make, **model: Any) -> Study:
    return make_study(
        task={"name": "synthesis", "classes": None}, model=SMALL | model, data={"labels": "none"}
    )


def seen(count: int, classes: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(4)
    noisy, times = torch.randn((count, 1, 8, 8), generator=draw), torch.rand(count, generator=draw)
    return conditioned(noisy, times, torch.full((count,), classes))


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("waves", [0, 2])
def test_private_gradients(make_study: Make, waves: int) -> None:
    asked = torch.randn((7, 1, 8, 8), generator=torch.Generator().manual_seed(5))
    check_private(study_of(make_study, waves=waves), asked, inputs=seen(7, 1))


def test_an_image_is_seen_as_a_whole_in_its_lowest_frequencies(make_study: Make) -> None:
    """What the wave part says is smooth, follows them alone, and knows the place."""
    torch.manual_seed(0)
    whole = Whole((1, 8, 12), 3, 6)
    told, waves = torch.randn(1, 6), cosines(8, 8)
    torch.testing.assert_close(waves.T @ waves / 8, torch.eye(8), atol=1e-5, rtol=0)
    high = (waves[:, 5, None] * cosines(12, 12)[:, 7])[None, None]
    images = torch.randn(1, 1, 8, 12)
    answer = whole(images, told)
    torch.testing.assert_close(whole(images + high, told), answer)
    assert not torch.allclose(whole(images + waves[:, 1, None], told), answer, atol=1e-3)
    rows, columns = cosines(8, 3), cosines(12, 3)
    low = rows @ (rows.T / 8) @ answer @ columns @ (columns.T / 12)
    torch.testing.assert_close(low, answer)
    weights = list(build_model(study_of(make_study, waves=3), 1).state_dict())
    assert not [name for name in weights if name.endswith((".rows", ".columns"))], "constants stay"


def test_answers_depend_on_time_and_class_and_on_no_other_image(make_study: Make) -> None:
    network = build_model(study_of(make_study), 1)
    inputs = seen(3)
    answers = network(inputs)
    assert answers.shape == (3, 1, 8, 8)
    torch.testing.assert_close(network(inputs[1:2]), answers[1:2])
    for channel in (1, 2):
        other = inputs.clone()
        other[:, channel] += 0.5
        assert not torch.allclose(network(other), answers, atol=1e-4)
    assert sum(p.numel() for p in network.parameters()) == 4431


@pytest.mark.parametrize(
    "model",
    [
        {"channels": [4, 8, 16, 32]},
        {"channels": [4, 6], "groups": 4},
        {"chanels": [4]},
        {"waves": 9},
    ],
)
def test_what_does_not_fit_is_refused(make_study: Make, model: dict[str, Any]) -> None:
    with pytest.raises(StudyError):
        build_model(study_of(make_study, **model), 1)


def test_a_task_that_asks_for_classes_is_refused(make_study: Make) -> None:
    with pytest.raises(StudyError, match="wants 2 outputs"):
        build_model(study_of(make_study), 2)


def test_images_without_time_are_refused(make_study: Make) -> None:
    with pytest.raises(StudyError, match="noisy images") as caught:
        build_model(study_of(make_study), 1)(torch.zeros(1, 1, 8, 8))
    assert "consilium sample" in caught.value.fix
