"""A patient of several hospitals: the worst choice, composed exactly, and never less than that."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import StudyError
from common.privacy import joint
from common.privacy.accountants import PROGRESS_INTERVAL, epsilon_pld
from common.privacy.events import Event, GaussianEvent, UnprotectedEvent
from common.privacy.joint import joint_epsilon


def hospital(q: str, sigma: float, steps: int) -> list[Event]:
    return [GaussianEvent("poisson", Fraction(q), sigma, 1.0, steps)]


CROSSING = [
    hospital("1/100", 1.0, 2000),
    hospital("1/5", 4.0, 250),
    hospital("1/20", 2.0, 600),
    hospital("1/3", 9.0, 300),
    hospital("1/100", 1.0, 500),
]


def brute(per_hospital: list[list[Event]], delta: float, k: int) -> float:
    return max(
        epsilon_pld([event for one in choice for event in one], delta)
        for choice in combinations(per_hospital, k)
    )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_worst_of_all_choices(k: int) -> None:
    found = joint_epsilon(CROSSING, 1e-5, k)
    assert found.epsilon == pytest.approx(brute(CROSSING, 1e-5, k), rel=1e-9)
    assert len(found.worst) == k


def test_two_hospitals_compose_and_do_not_add() -> None:
    """Two hospitals at about 5.6 and 6.9 are about 9.3 together."""
    pair = [hospital("1/10", 1.5, 210), hospital("1/10", 1.5, 300)]
    single = [epsilon_pld(one, 1e-5) for one in pair]
    found = joint_epsilon(pair, 1e-5)
    assert found.epsilon == epsilon_pld([*pair[0], *pair[1]], 1e-5)
    assert max(single) < found.epsilon < 0.8 * sum(single)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1/50", "1/10", "1/4"]),
            st.sampled_from([1.5, 2.0, 4.0]),
            st.integers(1, 60),
        ),
        min_size=2,
        max_size=5,
    ),
    st.integers(1, 2),
)
def test_what_is_left_out_cannot_be_worst(described: list[tuple[str, float, int]], k: int) -> None:
    hospitals = [hospital(*one) for one in described]
    assert joint_epsilon(hospitals, 1e-4, k).epsilon == pytest.approx(
        brute(hospitals, 1e-4, k), rel=1e-9
    )


@pytest.mark.parametrize("k", [2, 3])
def test_the_bound_over_many_choices_is_a_bound_and_not_far_off(
    monkeypatch: pytest.MonkeyPatch, k: int
) -> None:
    monkeypatch.setattr(joint, "_MOST_CHOICES", 1)
    found = joint_epsilon(CROSSING, 1e-5, k)
    exact = brute(CROSSING, 1e-5, k)
    assert found.worst == ()
    assert exact <= found.epsilon <= 1.25 * exact


def test_the_bound_holds_with_what_every_choice_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    always = hospital("1/2", 1.5, 90)
    exact = joint_epsilon(CROSSING, 1e-5, 2, always=always)
    by_hand = max(epsilon_pld([*always, *a, *b], 1e-5) for a, b in combinations(CROSSING, 2))
    assert exact.epsilon == pytest.approx(by_hand, rel=1e-9)
    monkeypatch.setattr(joint, "_MOST_CHOICES", 1)
    assert joint_epsilon(CROSSING, 1e-5, 2, always=always).epsilon >= exact.epsilon


def test_many_equal_hospitals_are_one_question() -> None:
    found = joint_epsilon([hospital("1/20", 2.0, 100)] * 200, 1e-5, 3)
    assert found.epsilon == epsilon_pld(hospital("1/20", 2.0, 300), 1e-5)


def test_nothing_and_everything() -> None:
    bare: list[Event] = [UnprotectedEvent("weights", 1)]
    assert joint_epsilon([CROSSING[0], bare], 1e-5, 1).epsilon == math.inf
    assert joint_epsilon([CROSSING[0], CROSSING[1]], 1e-5, always=bare).epsilon == math.inf
    assert joint_epsilon([[], CROSSING[0]], 1e-5, 2).epsilon == epsilon_pld(CROSSING[0], 1e-5)
    assert (
        epsilon_pld(CROSSING[0], 1e-5) < epsilon_pld(CROSSING[0], 1e-5, PROGRESS_INTERVAL) * 1.001
    )
    for k in (0, 3):
        with pytest.raises(StudyError, match="hospitals"):
            joint_epsilon([CROSSING[0], CROSSING[1]], 1e-5, k)
