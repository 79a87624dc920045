"""Populations: disjoint patients have budgets of their own, and what touches everybody counts for all of them."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.guard.book import WHOLE_SITE, Charge
from client.guard.budget import Budget, sharing, spent, worst_cases
from client.guard.chain import Chain
from client.guard.ledger import Ledger
from common.errors import BudgetError
from common.privacy.accountants import epsilon_pld
from common.privacy.events import Event, GaussianEvent

DELTA = 1e-3
TRAIN = GaussianEvent("poisson", Fraction(1, 4), 1.4, 1.0, 10)
LARGE = TRAIN.with_steps(40)


def charge(population: str, event: Event = TRAIN, group: str = "train/1") -> Charge:
    return Charge("s", "f", 1, group, event, DELTA, "system", settled=True, population=population)


def cost(*events: Event) -> float:
    return epsilon_pld(events, DELTA)


def test_disjoint_populations_do_not_add_up() -> None:
    charges = [charge("adults", LARGE), charge("children")]
    assert spent(charges, DELTA) == cost(LARGE)
    assert spent(sharing(charges, "children"), DELTA) == cost(TRAIN)


def test_what_the_whole_site_is_charged_counts_for_everybody() -> None:
    charges = [charge("adults"), charge("children"), charge(WHOLE_SITE)]
    assert spent(charges, DELTA) == cost(TRAIN, TRAIN)
    for name in ("adults", "children"):
        assert spent(sharing(charges, name), DELTA) == cost(TRAIN, TRAIN)
    assert len(sharing(charges, WHOLE_SITE)) == 3


def test_a_budget_is_asked_for_the_population_that_pays() -> None:
    budget = Budget(cost(LARGE), DELTA)
    spent_by_adults = [charge("adults", LARGE)]
    budget.check(spent_by_adults, charge("children", LARGE))
    budget.check([*spent_by_adults, charge("adults")], charge("children", LARGE))
    for name in ("adults", WHOLE_SITE):
        with pytest.raises(BudgetError, match="does not fit"):
            budget.check(spent_by_adults, charge(name))
    with pytest.raises(BudgetError):
        budget.check([charge(WHOLE_SITE, LARGE)], charge("children"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", WHOLE_SITE]),
            st.sampled_from(["train/1", "test/1", "train/2"]),
            st.sampled_from([TRAIN, TRAIN.with_steps(3)]),
        ),
        max_size=5,
    )
)
def test_no_patient_spent_more_than_is_said(items: list[tuple[str, str, GaussianEvent]]) -> None:
    """Play through every patient: of one population, in one role of each split."""
    charges = [charge(name, event, group) for name, group, event in items]
    splits = sorted({group.split("/")[1] for _, group, _ in items})
    for mine, roles in itertools.product(
        ("a", "b", ""), itertools.product(("train", "test"), repeat=len(splits))
    ):
        role = dict(zip(splits, roles, strict=True))
        touched = [
            event
            for name, group, event in items
            if name in (mine, WHOLE_SITE) and role[group.split("/")[1]] == group.split("/")[0]
        ]
        worst = max((epsilon_pld(case, DELTA) for case in worst_cases(charges)), default=0.0)
        assert cost(*touched) <= worst + 1e-9 if touched else True


def reserve(ledger: Ledger, key: str, population: str = WHOLE_SITE, limit: float = 50.0) -> None:
    made = ledger.reserve(
        key,
        study="s",
        fingerprint="f",
        round=1,
        group="train/1",
        event=TRAIN,
        delta=DELTA,
        randomness="system",
        budget=Budget(limit, DELTA),
        population=population,
    )
    ledger.settle(made, steps=10, released="a" * 64)


def test_the_ledger_keeps_the_population_of_a_charge(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "a", "a")
    limit = cost(TRAIN) * 1.001
    reserve(ledger, "1", "adults", limit)
    reserve(ledger, "2", "children", limit)
    for name in ("adults", "children", WHOLE_SITE):
        with pytest.raises(BudgetError, match="does not fit"):
            reserve(Ledger(ledger.path, "a", "a"), f"3-{name}", name, limit)
    again = Ledger(ledger.path, "a", "a").charges()
    assert [each.population for each in again] == ["adults", "children"]


def test_a_charge_to_the_whole_site_is_written_as_ever(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "a", "a")
    reserve(ledger, "1")
    assert "population" not in list(Chain(ledger.path).read())[1].body


def test_an_open_key_keeps_its_population(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "a", "a")
    terms = {"study": "s", "fingerprint": "f", "round": 1, "group": "train/1", "event": TRAIN}
    ledger.reserve("1", **terms, delta=DELTA, randomness="system", population="adults")  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="other terms"):
        ledger.reserve("1", **terms, delta=DELTA, randomness="system", population="children")  # type: ignore[arg-type]
