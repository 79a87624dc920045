"""How ε grew along a ledger, and where many ledgers stand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from client.audit.document import Curve, Plot
from client.audit.ledger_report import LedgerReport
from client.guard.book import WHOLE_SITE, Charge
from client.guard.budget import sharing, worst_cases
from common.privacy.accountants import PROGRESS_INTERVAL, epsilon_pld

POINTS = 16  # of a curve: each is a figure of its own
CURVES = 5


def spending(one: LedgerReport, *, several: bool) -> Plot | None:
    """ε by PLD after each of some charges, for each population, against the budget; None of an empty ledger."""
    if one.delta is None or not one.charges:
        return None
    every = [each.name for each in one.populations] or [WHOLE_SITE]
    shown = sorted(every, key=lambda name: -_size(one, name))[:CURVES]
    curves = [_curve(one, name, one.delta) for name in shown]
    last = float(len(one.charges))
    if one.budget is not None and math.isfinite(one.budget.max_epsilon):
        limit = one.budget.max_epsilon
        curves.append(Curve(f"budget at δ = {one.budget.delta:g}", (0.0, last), (limit,) * 2, True))
    whose = f" of {one.site}" if several else ""
    return Plot(
        f"Privacy spent along the ledger{whose}",
        "charges, oldest first",
        f"ε so far, at δ = {one.delta:g}",
        tuple(curves),
        _note(one, len(every) - len(shown)),
    )


def standing(ranked: Sequence[LedgerReport]) -> Plot | None:
    """ε of many ledgers, the highest first, against their budgets; None when fewer than two have a finite ε."""
    totals = [(one.total.pld, one.budget) for one in ranked if one.total is not None]
    drawn = sorted((pair for pair in totals if math.isfinite(pair[0])), key=lambda pair: -pair[0])
    if len(drawn) < 2:
        return None
    rank = tuple(float(number) for number in range(1, len(drawn) + 1))
    curves = [Curve("ε by PLD", rank, tuple(value for value, _ in drawn))]
    limits = [budget.max_epsilon for _, budget in drawn if budget is not None]
    if limits and math.isfinite(min(limits)):
        name = "budget" if len(set(limits)) == 1 else "lowest budget"
        curves.append(Curve(name, (1.0, rank[-1]), (min(limits),) * 2, True))
    left_out = len(ranked) - len(drawn)
    note = f"{left_out:,} ledgers without a finite figure are left out." if left_out else ""
    return Plot("What each site has spent", "sites, the highest first", "ε", tuple(curves), note)


def _size(one: LedgerReport, name: str) -> float:
    return next((each.epsilon for each in one.populations if each.name == name), 0.0)


def _curve(one: LedgerReport, name: str, delta: float) -> Curve:
    """ε at the start, at some charges between, and at the end; it ends where ε becomes infinite."""
    total = len(one.charges)
    places = sorted({round(total * step / POINTS) for step in range(POINTS + 1)})
    found = [(float(at), _spent(one.charges[:at], name, delta)) for at in places]
    drawn = [(at, value) for at, value in found if math.isfinite(value)]
    label = f"population {name}" if name else "the patient who spent most"
    return Curve(label, tuple(at for at, _ in drawn), tuple(value for _, value in drawn))


def _spent(charges: Sequence[Charge], name: str, delta: float) -> float:
    cases = worst_cases(sharing(charges, name))
    return max((epsilon_pld(case, delta, PROGRESS_INTERVAL) for case in cases), default=0.0)


def _note(one: LedgerReport, left_out: int) -> str:
    notes = ["Rounded up on a coarser grid than the figures of record, which are in the tables."]
    if one.total is not None and math.isinf(one.total.pld):
        notes.append(
            "The curve ends where something left without noise: from there on ε is infinite."
        )
    if left_out:
        notes.append(f"{left_out:,} populations that spent less are left out.")
    return " ".join(notes)
