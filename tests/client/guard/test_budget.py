"""Budgets: each patient's own worst case, and refusals that say what to do."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.guard.book import Charge
from client.guard.budget import Budget, spent
from common.errors import BudgetError, StudyError
from common.privacy.accountants import epsilon_pld
from common.privacy.events import Event, GaussianEvent, UnprotectedEvent

DELTA = 1e-3
TRAIN = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 40)
TEST = GaussianEvent("full", Fraction(1), 6.0, 1.0, 5)
BARE = UnprotectedEvent("weights trained without noise", 1)
PUBLIC = UnprotectedEvent("counts", 1, declared_public=True)


def charge(group: str, event: Event) -> Charge:
    return Charge("s", "f", 1, group, event, DELTA, "system", settled=True)


def cost(*events: Event) -> float:
    return epsilon_pld(events, DELTA)


def test_train_and_test_patients_are_disjoint_within_a_split() -> None:
    train, test = charge("train/1", TRAIN), charge("test/1", TEST)
    assert spent([train, test], DELTA) == max(cost(TRAIN), cost(TEST))
    assert spent([test], DELTA) == cost(TEST) > 0
    assert spent([train, train], DELTA) == cost(TRAIN, TRAIN)


def test_over_several_splits_everything_composes() -> None:
    charges = [charge("train/1", TRAIN), charge("test/2", TEST)]
    assert spent(charges, DELTA) == cost(TRAIN, TEST) > max(cost(TRAIN), cost(TEST))


def test_what_touches_everyone_composes_with_both_roles() -> None:
    charges = [charge("train/1", TRAIN), charge("test/1", TEST), charge("all/1", TEST)]
    assert spent(charges, DELTA) == max(cost(TRAIN, TEST), cost(TEST, TEST))


def test_public_statistics_are_apart_and_bare_ones_are_infinite() -> None:
    assert spent([charge("test/1", PUBLIC)], DELTA) == 0
    assert spent([charge("train/1", TRAIN), charge("test/2", PUBLIC)], DELTA) == cost(TRAIN)
    assert spent([charge("test/1", BARE)], DELTA) == math.inf
    assert spent([], DELTA) == 0


def test_a_budget_is_kept_to_the_last_step() -> None:
    before = [charge("train/1", TRAIN)]
    limit = cost(TRAIN, TRAIN.with_steps(10))
    Budget(limit, DELTA).check(before, charge("train/1", TRAIN.with_steps(10)))
    with pytest.raises(BudgetError, match="fewer steps"):
        Budget(limit, DELTA).check(before, charge("train/1", TRAIN.with_steps(11)))
    with pytest.raises(BudgetError):
        Budget(limit * 0.999, DELTA).check(before, charge("train/1", TRAIN.with_steps(10)))


def test_refusals_without_noise_say_so() -> None:
    budget = Budget(8.0, DELTA)
    with pytest.raises(BudgetError, match=r"Enable \[privacy\]"):
        budget.check([], charge("train/1", BARE))
    with pytest.raises(BudgetError, match="no later noise undoes"):
        budget.check([charge("train/1", BARE)], charge("train/1", TRAIN))


def test_what_costs_nothing_is_never_refused() -> None:
    over = [charge("train/1", BARE)]
    for free in (PUBLIC, TRAIN.with_steps(0)):
        Budget(1.0, DELTA).check(over, charge("test/1", free))


def test_no_limit_is_a_limit_that_nothing_passes() -> None:
    Budget(math.inf, DELTA).check([], charge("train/1", BARE))


@pytest.mark.parametrize(
    ("epsilon", "delta", "name"),
    [(0.0, 1e-3, "max_epsilon"), (-1.0, 1e-3, "max_epsilon"), (math.nan, 1e-3, "max_epsilon")]
    + [(8.0, value, "delta") for value in (0.0, 1.0, math.nan)],
)
def test_nonsense_limits_are_refused_by_name(epsilon: float, delta: float, name: str) -> None:
    with pytest.raises(StudyError) as caught:
        Budget(epsilon, delta)
    assert caught.value.where == name


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["train/1", "test/1", "train/2", "all/1"]),
            st.sampled_from([TRAIN, TEST, TRAIN.with_steps(3)]),
        ),
        max_size=5,
    )
)
def test_another_charge_never_lowers_what_was_spent(items: list[tuple[str, Any]]) -> None:
    charges = [charge(group, event) for group, event in items]
    totals = [spent(charges[:n], DELTA) for n in range(len(charges) + 1)]
    assert totals == sorted(totals)
