"""Events: what is refused, and that JSON keeps them exactly."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import StudyError
from common.privacy.events import (
    Event,
    GaussianEvent,
    UnprotectedEvent,
    event_from_json,
)

GOOD: dict[str, Any] = {
    "sampler": "poisson",
    "sampling_rate": Fraction(1, 30),
    "noise_multiplier": 1.1,
    "clip_norm": 1.0,
    "steps": 40,
}

rates = st.fractions(min_value=Fraction(1, 10**9), max_value=1)
positive = st.floats(min_value=1e-3, max_value=1e6)
gaussians = st.builds(
    GaussianEvent, st.just("poisson"), rates, positive, positive, st.integers(0, 10**9)
)
unprotected = st.builds(UnprotectedEvent, st.text(min_size=1), st.integers(0, 100), st.booleans())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampler", "shuffled"),
        ("sampling_rate", Fraction(0)),
        ("sampling_rate", Fraction(31, 30)),
        ("sampling_rate", Fraction(-1, 30)),
        ("sampling_rate", 0.1),
        ("noise_multiplier", 0.0),
        ("noise_multiplier", -1.0),
        ("noise_multiplier", math.nan),
        ("noise_multiplier", math.inf),
        ("noise_multiplier", "1"),
        ("clip_norm", 0),
        ("clip_norm", True),
        ("steps", -1),
        ("steps", 1.5),
        ("steps", True),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(StudyError, match=name) as caught:
        GaussianEvent(**{**GOOD, name: value})
    assert caught.value.where == name


def test_full_batches_have_rate_one() -> None:
    with pytest.raises(StudyError, match="sampling_rate"):
        GaussianEvent(**{**GOOD, "sampler": "full"})
    assert GaussianEvent(**{**GOOD, "sampler": "full", "sampling_rate": Fraction(1)}).steps == 40


@given(st.one_of(gaussians, unprotected))
def test_json_keeps_an_event_exactly(event: Event) -> None:
    assert event_from_json(json.loads(json.dumps(event.to_json()))) == event


@given(gaussians, st.integers(0, 1000))
def test_other_steps_change_nothing_else(event: GaussianEvent, steps: int) -> None:
    assert event.with_steps(steps).steps == steps
    assert event.with_steps(steps).with_steps(event.steps) == event


@pytest.mark.parametrize(
    "change",
    [
        {"type": "laplace"},
        {"type": None},
        {"steps": "3"},
        {"sampling_rate": 0.1},
        {"sampling_rate": "1/0"},
        {"sampling_rate": "1e-3"},
        {"extra": 1},
    ],
)
def test_json_that_is_not_an_event_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(StudyError):
        event_from_json({**GaussianEvent(**GOOD).to_json(), **change})


def test_a_missing_key_is_refused() -> None:
    body = GaussianEvent(**GOOD).to_json()
    del body["clip_norm"]
    with pytest.raises(StudyError, match="clip_norm"):
        event_from_json(body)


def test_unprotected_releases_count_as_steps() -> None:
    event = UnprotectedEvent("confusion counts", 3, declared_public=True)
    assert event.steps == 3
    assert event.with_steps(1) == UnprotectedEvent("confusion counts", 1, declared_public=True)
    with pytest.raises(StudyError, match="releases"):
        UnprotectedEvent("confusion counts", -1)
