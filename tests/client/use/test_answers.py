"""What is said of a task that another package brings, whose outputs are no classes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from client.explain.scores import scores_of, usual
from client.use.answers import answers
from common.study import Study

OUTPUTS = torch.tensor([[0.5, -1.0], [2.0, 3.0]])


def thresholds(**more: Any) -> Any:
    """A task with three grades and a threshold between each two."""
    return SimpleNamespace(classes=("none", "mild", "severe"), outputs=2, **more)


def test_outputs_are_given_as_they_are(make_study: Callable[..., Study]) -> None:
    found = answers(make_study(), thresholds(), OUTPUTS)
    assert found == {"output_0": [0.5, 2.0], "output_1": [-1.0, 3.0]}


def test_the_tasks_own_words_come_first(make_study: Callable[..., Study]) -> None:
    own = thresholds(answers=lambda outputs: {"grade": (outputs > 0).sum(1).tolist()})
    assert answers(make_study(), own, OUTPUTS) == {"grade": [1, 2]}


def test_outputs_are_explained_as_they_are(make_study: Callable[..., Study]) -> None:
    scores = scores_of(make_study(), thresholds())
    assert [score.of(OUTPUTS).tolist() for score in scores] == [[0.5, 2.0], [-1.0, 3.0]]
    assert usual(make_study(), scores, OUTPUTS[:1]) in scores
