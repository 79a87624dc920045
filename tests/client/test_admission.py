"""Admission: the policy's word before any data are read."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from client.admission import admit, check_whole_cost
from client.guard.book import Charge
from client.guard.budget import spent
from client.limits import PolicyLimits
from client.site import Policy, Site
from common.errors import BudgetError, PolicyError
from common.privacy.events import Event, GaussianEvent, UnprotectedEvent
from common.study import Study

OFF = {"enabled": False}
ROUND = GaussianEvent("poisson", Fraction(1, 4), 1.5, 1.0, 10)


def charge(event: Event, fingerprint: str = "mine", group: str = "train/a") -> Charge:
    return Charge("s", fingerprint, 1, group, event, 1e-3, "system", settled=True)


def limits(max_epsilon: float) -> PolicyLimits:
    return PolicyLimits.of(Policy(max_epsilon=max_epsilon, delta=1e-3))


@pytest.mark.parametrize(
    ("study", "policy"),
    [
        ({}, {}),
        ({}, {"allowed_tasks": ["classification"], "allowed_models": ["mlp", "linear"]}),
        ({"privacy": OFF}, {"allow_non_private": True}),
        ({"privacy": OFF, "evaluation": {"per": "sample"}}, {"allow_non_private": True}),
        ({"evaluation": {"per": "sample"}}, {"statistics": "none"}),
        ({"evaluation": {"per": "sample"}}, {"statistics": "exact"}),
        ({"evaluation": {"per": "sample"}, "privacy": {"unit": "sample"}}, {}),
    ],
)
def test_what_the_policy_allows_is_admitted(
    make_site: Callable[..., Site], make_study: Callable[..., Study], study: Any, policy: Any
) -> None:
    site = make_site(**policy)
    (site.folder / "scans.npz").unlink()  # nothing is read
    admit(site, make_study(**study))


def test_a_refusal_lists_what_is_allowed(
    make_site: Callable[..., Site], make_study: Callable[..., Study]
) -> None:
    with pytest.raises(PolicyError) as caught:
        admit(make_site(allowed_models=["lstm", "mlp"]), make_study())
    assert "'linear'" in caught.value.what
    assert "lstm, mlp" in caught.value.fix
    with pytest.raises(PolicyError, match="none"):
        admit(make_site(allowed_tasks=[]), make_study())


def test_a_study_with_a_weaker_delta_is_refused(
    make_site: Callable[..., Site], make_study: Callable[..., Study]
) -> None:
    site = make_site(max_delta_per_study=1e-4)
    admit(site, make_study(privacy={"delta": 1e-4}))
    with pytest.raises(PolicyError, match=r"δ = 0\.001") as caught:
        admit(site, make_study())
    assert "max_delta_per_study" in caught.value.where


def test_the_whole_cost_must_fit_beside_what_others_spent() -> None:
    whole = charge(ROUND.with_steps(40))
    both = spent([whole, charge(ROUND, "other")], 1e-3)
    budget = limits(both)
    check_whole_cost(budget, [charge(ROUND, "other")], [whole], where="here")
    with pytest.raises(BudgetError, match="whole study") as caught:
        check_whole_cost(budget, [charge(ROUND.with_steps(11), "other")], [whole], where="here")
    assert caught.value.where == "here"


def test_what_the_study_spent_already_counts_once() -> None:
    whole = charge(ROUND.with_steps(40))
    budget = limits(spent([whole], 1e-3))
    check_whole_cost(budget, [charge(ROUND), charge(ROUND)], [whole], where="here")


def test_after_a_release_without_noise_no_private_study_fits() -> None:
    bare = charge(UnprotectedEvent("weights", 1), "other")
    with pytest.raises(BudgetError):
        check_whole_cost(limits(1e6), [bare], [charge(ROUND)], where="here")
