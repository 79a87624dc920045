"""A study's cost as a document: the figures, the curve over the rounds, and what would fit instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from client.audit.document import Document, Plot, Table, Text
from client.audit.plan import StudyCost, worst_case
from client.audit.plan_fits import Fits, what_fits
from client.audit.plan_tables import (
    ADJACENCY,
    budget_table,
    curve,
    fits_table,
    joint_table,
    number,
    study_table,
)
from common.privacy.accountants import Epsilons, epsilon_pld
from common.privacy.events import Event, GaussianEvent
from common.privacy.joint import Joint, joint_epsilon


def document(cost: StudyCost, elsewhere: Sequence[Sequence[Event]] = ()) -> Document:
    """Make the document.

    Args:
        cost: the study at this site.
        elsewhere: what a patient may have spent at other hospitals, from their ledgers.
    """
    alone = {role: cost.alone(role) for role in cost.roles}
    replaced = {role: _replaced(cost.events(role), cost.plan.delta) for role in cost.roles}
    before, together, fits = cost.spent(0), cost.together(), what_fits(cost)
    joint = _joint(cost)
    shared = _elsewhere(cost, elsewhere)
    parts: list[Table | Plot | Text] = [study_table(cost, alone, replaced)]
    parts.append(budget_table(cost, before, together))
    if math.isfinite(together.pld):
        parts.append(curve(cost))
    if fits is not None:
        parts.append(fits_table(cost, fits))
    parts += [joint_table(cost, joint, shared), Text("Read with care", _notes(cost))]
    return Document(
        title=f"What {cost.study.name} would cost a site with {cost.plan.declared_patients:,} patients",
        verdict="over budget" if cost.too_much else "sound",
        summary=_summary(cost, before, together),
        parts=tuple(parts),
        data=_data(cost, alone, replaced, before, together, fits, [*joint, *shared]),
    )


def _summary(cost: StudyCost, before: float, together: Epsilons) -> str:
    at = f"at δ = {cost.delta:g} ({ADJACENCY})"
    spent = (
        f"from ε = {number(before)} to {number(together.pld)}"
        if before
        else f"ε = {number(together.pld)}"
    )
    text = f"The whole study takes the patient who spends most {spent} {at}."
    if cost.budget is None:
        return f"{text} No policy is known, so there is no limit to compare with."
    limit = number(cost.budget.max_epsilon)
    if cost.too_much:
        return f"{text} That does not fit the site's limit of ε = {limit}."
    return f"{text} That fits the site's limit of ε = {limit}."


def _notes(cost: StudyCost) -> tuple[str, ...]:
    plan, patients = cost.plan, cost.plan.declared_patients
    found = [f"Every ε is for {ADJACENCY}, unless it says otherwise."]
    for name, delta in (("study", plan.delta), ("site's policy", cost.delta)):
        if delta >= 1 / patients:
            found.append(
                f"The δ = {delta:g} of the {name} is not below 1/n = {1 / patients:.3g}: publishing one patient of "
                f"{patients:,} at random would be allowed at any ε. Choose δ well below 1/n."
            )
    if cost.stranger:
        found.append(
            f"The first ledger is that of '{cost.stranger}', not this site's: it does not say what this site's "
            "patients have spent."
        )
    if cost.begun:
        found.append(
            f"{cost.begun} round(s) of this study are in the ledger; they are part of the plan."
        )
    if not cost.others:
        found.append(
            "The ledger holds nothing that was spent on other studies by the same patients."
            if cost.book_given
            else "Nothing spent on other studies is counted. Name the site's ledger with --ledger if it has one."
        )
    else:
        found.append(
            "Where training and held-out patients are told apart otherwise than in earlier studies, one patient may be "
            "both, and all that either spent is added up."
        )
    found.append(
        "If the study is chosen as the best of several runs, those cost as well: see `consilium audit claim`."
    )
    return tuple(found)


def _joint(cost: StudyCost) -> list[Joint]:
    most = min(max(3, cost.study.federation.min_sites), 5)
    events = [cost.events("train")]
    return [joint_epsilon([events] * k, cost.plan.delta, k) for k in range(2, most + 1)]


def _elsewhere(cost: StudyCost, elsewhere: Sequence[Sequence[Event]]) -> list[Joint]:
    """For a patient of this site, known to one, two, … of the hospitals whose ledgers are given as well."""
    if not elsewhere:
        return []
    mine = worst_case(cost.charges(), cost.delta)
    found = []
    for others in range(1, min(len(elsewhere), 4) + 1):
        worst = joint_epsilon(elsewhere, cost.delta, others, always=mine)
        found.append(Joint(others + 1, worst.epsilon, worst.worst))
    return found


def _replaced(event: GaussianEvent, delta: float) -> float:
    return epsilon_pld([event], delta, adjacency="replace-one")


def _data(
    cost: StudyCost,
    alone: dict[str, Epsilons],
    replaced: dict[str, float],
    before: float,
    together: Epsilons,
    fits: Fits | None,
    joint: Sequence[Joint],
) -> dict[str, Any]:
    plan = cost.plan
    roles = {
        role: {
            "sampler": cost.events(role).sampler,
            "q": str(cost.events(role).sampling_rate),
            "sigma": cost.events(role).noise_multiplier,
            "steps": cost.events(role).steps,
            "epsilon": _figures(found),
            "replace_one": replaced[role],
        }
        for role, found in alone.items()
    }
    return {
        "study": cost.study.name,
        "fingerprint": cost.study.fingerprint,
        "patients": plan.declared_patients,
        "rounds": plan.rounds,
        "adjacency": ADJACENCY,
        "alone": {"delta": plan.delta, "roles": roles},
        "spent": {
            "delta": cost.delta,
            "before": before,
            "after": _figures(together),
            "begun_rounds": cost.begun,
        },
        "budget": None
        if cost.budget is None
        else {"max_epsilon": cost.budget.max_epsilon, "fits": not cost.too_much},
        "would_fit": None
        if fits is None
        else {
            "rounds": fits.rounds,
            "sigma": fits.noise_multiplier,
            "steps_per_round": fits.steps_per_round,
            "q": None if fits.sampling_rate is None else str(fits.sampling_rate),
        },
        "joint": [{"hospitals": one.hospitals, "epsilon": one.epsilon} for one in joint],
        "notes": list(_notes(cost)),
    }


def _figures(found: Epsilons) -> dict[str, float | None]:
    return {"pld": found.pld, "prv": found.prv, "rdp": found.rdp}
