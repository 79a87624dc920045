"""The tables and the curve of a study's cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from client.audit.document import Curve, Plot, Table
from client.audit.plan import StudyCost
from client.audit.plan_fits import Fits
from common.privacy.accountants import PROGRESS_INTERVAL, Epsilons
from common.privacy.events import GaussianEvent
from common.privacy.joint import Joint

ADJACENCY = "add/remove one patient"
_NAMES = {"train": "training patients", "test": "held-out patients"}
_POINTS = 25


def study_table(cost: StudyCost, alone: dict[str, Epsilons], replaced: dict[str, float]) -> Table:
    """What every role's patients would pay, if this study were all."""
    rows = tuple(
        (
            _NAMES[role],
            _mechanism(cost.events(role)),
            *map(number, _three(found)),
            number(replaced[role]),
        )
        for role, found in alone.items()
    )
    return Table(
        title=f"The study alone, at its own δ = {cost.plan.delta:g}",
        columns=("for", "mechanism", "ε PLD", "ε PRV", "ε RDP", "ε PLD, one replaced"),
        rows=rows,
        note=f"PLD is the figure of record, for {ADJACENCY}; PRV and RDP are checks. The last column is for replacing "
        "one patient by another.",
    )


def budget_table(cost: StudyCost, before: float, together: Epsilons) -> Table:
    """What was spent, what it would come to, and the limit."""
    limit = None if cost.budget is None else cost.budget.max_epsilon
    rows = [
        ("spent on other studies", number(before), "–", "–"),
        ("with the whole study", *map(number, _three(together))),
        ("the site's limit", "–" if limit is None else number(limit), "", ""),
    ]
    return Table(
        title=f"On top of what was spent, at δ = {cost.delta:g}",
        columns=("the patient who spends most", "ε PLD", "ε PRV", "ε RDP"),
        rows=tuple(rows),
        note=together.prv_note,
    )


def curve(cost: StudyCost) -> Plot:
    """ε after every round (at most some 25 points), by role, with what was spent before and the limit."""
    rounds = cost.plan.rounds
    points = sorted({round(i * rounds / _POINTS) for i in range(_POINTS + 1)} | {0, 1, rounds})
    curves = [
        Curve(
            _NAMES[role],
            tuple(map(float, points)),
            tuple(cost.spent(done, role, PROGRESS_INTERVAL) for done in points),
        )
        for role in cost.roles
    ]
    ends = (0.0, float(rounds))
    before = cost.spent(0, interval=PROGRESS_INTERVAL)
    if before:
        curves.append(Curve("spent before", ends, (before, before), dashed=True))
    if cost.budget is not None and math.isfinite(cost.budget.max_epsilon):
        limit = cost.budget.max_epsilon
        curves.append(Curve("the site's limit", ends, (limit, limit), dashed=True))
    return Plot(
        title="Privacy loss after every round",
        x_label="rounds",
        y_label=f"ε at δ = {cost.delta:g}",
        curves=tuple(curves),
        note="Spending on other studies included.",
    )


def fits_table(cost: StudyCost, fits: Fits) -> Table:
    """What the budget would allow instead."""
    plan = cost.plan
    rows = (
        ("rounds", f"{plan.rounds:,}", f"{fits.rounds:,}", "at most"),
        ("σ", f"{plan.noise_multiplier:g}", _or_none(fits.noise_multiplier, "g"), "at least"),
        (
            "steps a round",
            f"{plan.steps_per_round:,}",
            _or_none(fits.steps_per_round, ","),
            "at most",
        ),
        ("q", str(plan.sampling_rate), _rate(fits), "at most"),
    )
    return Table(
        title="What would fit the limit, one change at a time",
        columns=("change", "planned", "fits", "bound"),
        rows=rows,
        note="σ, steps and q are those of the training; the held-out patients' statistics stay as planned. "
        "“none”: no value of this alone is enough.",
    )


def joint_table(cost: StudyCost, joint: Sequence[Joint], shared: Sequence[Joint]) -> Table:
    """ε for a patient whom several hospitals know."""
    rows = [(f"{one.hospitals} hospitals of this study", number(one.epsilon)) for one in joint]
    rows += [
        (f"this site and {one.hospitals - 1} of the other ledgers", number(one.epsilon))
        for one in shared
    ]
    delta = f"δ = {cost.plan.delta:g}"
    note = f"Every hospital with {cost.plan.declared_patients:,} patients; training, composed exactly, at {delta}."
    if shared:
        note += f" With other ledgers: all that they hold, at δ = {cost.delta:g}."
    return Table("A patient known to several hospitals", ("known to", "ε PLD"), tuple(rows), note)


def _mechanism(event: GaussianEvent) -> str:
    how = f"q {event.sampling_rate}" if event.sampler == "poisson" else "all patients"
    return f"{event.steps:,} × {how}, σ {event.noise_multiplier:g}"


def _three(found: Epsilons) -> tuple[float | None, float | None, float | None]:
    return found.pld, found.prv, found.rdp


def number(value: float | None) -> str:
    """An ε for people."""
    if value is None:
        return "–"
    return "∞" if math.isinf(value) else f"{value:.3f}"


def _or_none(value: float | None, style: str) -> str:
    return "none" if value is None else format(value, style)


def _rate(fits: Fits) -> str:
    rate = fits.sampling_rate
    return "none" if rate is None else f"{rate} ({float(rate):.4g})"
