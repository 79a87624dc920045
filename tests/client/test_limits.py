"""The limits of a policy: over all studies, for any one study, and for populations."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from client.guard.book import Charge
from client.guard.budget import spent
from client.limits import PolicyLimits, budget_of
from client.site import Policy
from common.errors import BudgetError
from common.privacy.events import GaussianEvent

DELTA = 1e-3
ROUND = GaussianEvent("poisson", Fraction(1, 4), 1.5, 1.0, 10)


def charge(steps: int, study: str = "mine", population: str = "", role: str = "train") -> Charge:
    event = ROUND.with_steps(steps)
    return Charge(
        study,
        study,
        1,
        f"{role}/a",
        event,
        DELTA,
        "system",
        settled=True,
        population=population,
    )


def epsilon(steps: int) -> float:
    return spent([charge(steps)], DELTA) * 1.0001


def policy(**keys: Any) -> Policy:
    return Policy(**{"max_epsilon": epsilon(30), "delta": DELTA, **keys})


def limit(steps: int) -> dict[str, Any]:
    return {"max_epsilon": epsilon(steps), "delta": DELTA}


def both_refuse(limits: PolicyLimits, before: list[Charge], asked: Charge, match: str) -> None:
    with pytest.raises(BudgetError, match=match):
        limits.check(before, asked)
    with pytest.raises(BudgetError, match=match):
        limits.check_whole(before, [asked], where="here")


def both_allow(limits: PolicyLimits, before: list[Charge], asked: Charge) -> None:
    limits.check(before, asked)
    limits.check_whole(before, [asked], where="here")


def test_all_studies_share_one_budget() -> None:
    limits = PolicyLimits.of(policy())
    both_allow(limits, [charge(10, "other")], charge(20))
    both_refuse(limits, [charge(11, "other")], charge(20), "fit")


def test_any_one_study_has_a_limit_of_its_own() -> None:
    limits = PolicyLimits.of(policy(max_epsilon_per_study=epsilon(10)))
    both_allow(limits, [charge(10, "other")], charge(10))
    both_refuse(limits, [], charge(11), "any one study")


def test_a_study_s_earlier_rounds_count_toward_its_limit() -> None:
    limits = PolicyLimits.of(policy(max_epsilon_per_study=epsilon(10)))
    limits.check([charge(5)], charge(5))
    with pytest.raises(BudgetError, match="any one study"):
        limits.check([charge(6)], charge(5))


def test_a_population_has_a_limit_of_its_own_in_both_directions() -> None:
    children = policy(populations={"children": limit(10), "volunteers": limit(100)})
    limits = PolicyLimits.of(children, "children")
    both_allow(limits, [charge(30, "other", "adults")], charge(10, population="children"))
    both_refuse(limits, [], charge(11, population="children"), "fit")
    more = PolicyLimits.of(children, "volunteers")
    both_allow(more, [], charge(60, population="volunteers"))
    both_refuse(more, [], charge(101, population="volunteers"), "fit")


def test_what_the_whole_site_is_charged_counts_for_every_population() -> None:
    limits = PolicyLimits.of(policy(populations={"children": limit(10)}))
    both_allow(limits, [], charge(10))
    both_refuse(limits, [], charge(11), "fit")
    both_refuse(limits, [charge(5, "other", "children")], charge(6), "fit")
    among = PolicyLimits.of(policy(populations={"children": limit(10)}), "children")
    both_refuse(among, [charge(5, "other")], charge(6, population="children"), "fit")


def test_a_generous_population_does_not_stop_studies_of_everybody() -> None:
    limits = PolicyLimits.of(policy(populations={"volunteers": limit(100)}))
    both_allow(limits, [charge(60, "other", "volunteers")], charge(20))
    both_refuse(limits, [charge(60, "other", "volunteers")], charge(31), "fit")
    both_refuse(limits, [charge(90, "other", "volunteers")], charge(20), "fit")


def test_the_budget_of_a_population_is_its_own_or_the_site_s() -> None:
    mixed = policy(populations={"children": {"max_epsilon": 0.5, "delta": 1e-6}})
    assert budget_of(mixed, "children").delta == 1e-6
    assert budget_of(mixed, "adults").max_epsilon == mixed.max_epsilon
