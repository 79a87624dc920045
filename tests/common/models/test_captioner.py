"""The captioner: private with its task through every engine, and refused where it cannot work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from battery import check_private
from torch import nn

from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.tasks import build_task

Make = Callable[..., Study]
WORDS = ["large", "no", "nodule", "small"]


def study_of(make_study: Make, data: dict[str, Any] | None = None, **options: Any) -> Study:
    model = {"report_words": 3, "channels": [4], "width": 4, "hidden": 6, "scales": [0.7]}
    about = {"labels": "text", "vocabulary": WORDS, "report_words": 3, **(data or {})}
    task = {"name": "report-text", "classes": None}
    return make_study(task=task, data=about, model={"name": "captioner", **model, **options})


def network_of(study: Study) -> nn.Module:
    return build_model(study, build_task(study).outputs)


@pytest.mark.parametrize("options", [{}, {"scales": [], "channels": [4, 4], "regions": 1}])
def test_what_must_hold_for_every_model_and_task(
    make_study: Make, options: dict[str, object]
) -> None:
    targets = torch.randint(0, 5, (7, 3), generator=torch.Generator().manual_seed(2))
    check_private(study_of(make_study, **options), targets)


def test_it_has_a_word_for_every_place_and_word_before(make_study: Make) -> None:
    network = network_of(study_of(make_study))
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    table = network(images)
    assert table.shape == (2, 3, 5, 5)
    torch.testing.assert_close(network(images[:1]), table[:1])
    assert not torch.allclose(table[0], table[1])
    assert not torch.allclose(table[0, 0], table[0, 1])
    assert not torch.allclose(table[0, 0, 0], table[0, 0, 1])


def test_its_weights_are_counted(make_study: Make) -> None:
    # 5 maps; convolution, normalisation, 1x1 convolution; 4 filters in 2x2 regions; places, words; two linear layers
    filters = (5 * 4 * 9 + 4) + 2 * 4 + (4 * 4 + 4)
    decoder = (16 * 6 + 6) + 3 * 6 + 5 * 6 + (6 * 6 + 6) + (6 * 5 + 5)
    network = network_of(study_of(make_study))
    assert sum(p.numel() for p in network.parameters()) == filters + decoder


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        ({}, {"report_words": 4}, "report_words is 4"),
        ({}, {"groups": 3}, "do not divide"),
        ({}, {"reduce": 5}, "too small"),
        ({}, {"scales": [0.01]}, "between 0.3 and 32"),
        ({}, {"hiden": 4}, "Did you mean 'hidden'"),
        (
            {"vocabulary": [f"w{n}" for n in range(255)], "report_words": 12},
            {"report_words": 12},
            "too large",
        ),
        ({"vocabulary": ["Large"]}, {}, "lower case"),
        ({"vocabulary": ["a", "a"]}, {}, "listed twice"),
        ({"labels": "class"}, {}, "belong together"),
    ],
)
def test_what_cannot_work_is_refused(
    make_study: Make, data: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        network_of(study_of(make_study, data, **options))


def test_models_that_write_nothing_are_refused(make_study: Make) -> None:
    about = {"labels": "text", "vocabulary": WORDS}
    with pytest.raises(StudyError, match="writes no reports"):
        build_task(make_study(task={"name": "report-text", "classes": None}, data=about))
