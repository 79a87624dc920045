"""When a run that does not get better ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.study import Study
from common.tasks import build_task
from server.stopping import learned_enough

Make = Callable[..., Study]
CASES: list[tuple[list[float | None], bool]] = [
    ([0.5, 0.6, 0.7, 0.8], False),
    ([0.5, 0.9, 0.8, 0.85], True),
    ([0.5, 0.9, 0.8, 0.91], False),
    ([0.9, None, 0.8], False),  # a round without an evaluation is none
    ([0.9, None, 0.8, None, 0.8], True),
    ([0.9, float("nan"), 0.8], False),
    ([0.9, 0.9, 0.9], True),
    ([], False),
]


@pytest.mark.parametrize(("figures", "ends"), CASES, ids=str)
def test_it_ends_after_evaluations_that_brought_nothing(
    make_study: Make, figures: list[float | None], ends: bool
) -> None:
    study = make_study(federation={"stop_after": 2})
    lines: list[dict[str, Any]] = [{"metrics": None if f is None else {"auc": f}} for f in figures]
    assert learned_enough(study, build_task(study), lambda: lines) is ends


def test_errors_are_better_when_they_are_lower(
    make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(federation={"stop_after": 1})
    task = build_task(study)
    monkeypatch.setattr(task, "headline", "rmse", raising=False)
    falling = [{"metrics": {"rmse": figure}} for figure in (9.0, 8.0)]
    assert not learned_enough(study, task, lambda: falling)
    assert learned_enough(study, task, lambda: falling[::-1])


def test_without_a_wish_nothing_is_read(make_study: Make) -> None:
    def read() -> list[dict[str, Any]]:
        raise AssertionError

    study = make_study()
    assert not learned_enough(study, build_task(study), read)
