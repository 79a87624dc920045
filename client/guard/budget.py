"""What the patients of a population have spent, and whether a new charge still fits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from client.guard.book import WHOLE_SITE, Charge, require_delta, split_group
from common.errors import BudgetError, StudyError
from common.privacy.accountants import epsilon_pld
from common.privacy.events import Event

_ROUNDING = 1e-9  # of one ε: below every accountant's own error


@dataclass(frozen=True)
class Budget:
    """A limit on (ε, δ) per patient over everything that the patient's population ever joins.

    Attributes:
        max_epsilon: the limit on ε, by PLD, add/remove one patient.
        delta: its δ.
    """

    max_epsilon: float
    delta: float

    def __post_init__(self) -> None:
        require_delta(self.delta)
        if math.isnan(self.max_epsilon) or self.max_epsilon <= 0:
            raise StudyError(
                f"Expected max_epsilon to be above 0, not {self.max_epsilon!r}.",
                where="max_epsilon",
            )

    def exceeded_by(self, epsilon: float) -> bool:
        """Whether an ε at this budget's δ is too much."""
        return epsilon > self.max_epsilon + _ROUNDING

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Refuse what would not fit; a charge that costs nobody anything is never refused.

        Raises:
            BudgetError: with what was spent, what was asked and the limit.
        """
        before = sharing(charges, asked.population)
        after = spent([*before, asked], self.delta)
        if not self.exceeded_by(after) or worst_cases([asked]) == []:
            return
        already = spent(before, self.delta)
        raise BudgetError(
            f"The charge does not fit the budget: {amount(already)} spent, {amount(after)} with "
            f"it, {amount(self.max_epsilon)} allowed, all at δ = {self.delta:g} and for adding or "
            "removing one patient.",
            where=f"study '{asked.study}', round {asked.round}, {asked.event.steps} steps",
            fix=_cure(already, asked),
        )


@dataclass(frozen=True)
class StudyBudget:
    """What one study may cost in all, as it was planned; a coordinator that asks for more rounds does not get them.

    Attributes:
        fingerprint: of the study.
        role: "train" or "test": whose patients the plan is about.
        planned: what it costs them, at the study's own δ.
    """

    fingerprint: str
    role: str
    planned: Budget

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Refuse what goes beyond the plan.

        Raises:
            BudgetError: with what the plan allows.
        """
        whole = spent([*filter(self._mine, charges), asked], self.planned.delta)
        if self.planned.exceeded_by(whole):
            raise BudgetError(
                f"The study was planned to cost {amount(self.planned.max_epsilon)}; with this charge it would cost "
                f"{amount(whole)} at δ = {self.planned.delta:g} (add/remove one patient).",
                where=f"study '{asked.study}', round {asked.round}",
                fix="It asks for more than was approved. See `consilium audit ledger`; approve a new study if need be.",
            )

    def _mine(self, charge: Charge) -> bool:
        return charge.fingerprint == self.fingerprint and split_group(charge.group)[0] == self.role


@dataclass(frozen=True)
class StudyReleases:
    """How often one study lets out what has no ε: each release of exact figures about the same patients says more.

    Attributes:
        fingerprint: of the study.
        role: "train" or "test": whose patients the releases are about.
        planned: how many the study has.
    """

    fingerprint: str
    role: str
    planned: int

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Refuse what goes beyond the plan.

        Raises:
            BudgetError: with what the plan allows.
        """
        mine = [
            each
            for each in charges
            if each.fingerprint == self.fingerprint and split_group(each.group)[0] == self.role
        ]
        if sum(each.event.steps for each in [*mine, asked]) > self.planned:
            raise BudgetError(
                f"The study was planned to let this out {self.planned} times, and has.",
                where=f"study '{asked.study}', round {asked.round}",
                fix="It asks for more than was approved. See `consilium audit ledger`; approve a new study if need be.",
            )


class Part(Protocol):
    """One of several limits."""

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Raise `BudgetError` when `asked` on top of `charges` is too much."""


@dataclass(frozen=True)
class Limits:
    """Several limits at once; each must allow a charge.

    Attributes:
        parts: asked in turn.
    """

    parts: tuple[Part, ...]

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Ask every limit.

        Raises:
            BudgetError: from the first that refuses.
        """
        before = list(charges)
        for part in self.parts:
            part.check(before, asked)


def spent(charges: Iterable[Charge], delta: float) -> float:
    """The ε at `delta` of the patient who spent most, by PLD; public statistics cost nothing."""
    return max((epsilon_pld(events, delta) for events in worst_cases(charges)), default=0.0)


def sharing(charges: Iterable[Charge], population: str) -> list[Charge]:
    """The charges that touch the patients of a population: its own and the whole site's, which touch everybody.

    Of the whole site these are all charges.
    """
    counted = (population, WHOLE_SITE)
    return [each for each in charges if population == WHOLE_SITE or each.population in counted]


def worst_cases(charges: Iterable[Charge]) -> list[Sequence[Event]]:
    """The lists of events that one patient may have been in; the worst of them is what counts.

    A patient is in one population at most, as the site declares, and in the whole site.
    """
    every = list(charges)
    parts = sorted({each.population for each in every} - {WHOLE_SITE})
    if not parts:
        return _in_one_population(every)
    return [case for part in parts for case in _in_one_population(sharing(every, part))]


def _in_one_population(charges: Iterable[Charge]) -> list[Sequence[Event]]:
    """As `worst_cases`, of patients who all share one budget.

    Within one split a patient is a training or a test patient. With several splits one patient may
    be both, so everything composes.
    """
    by_role: dict[str, list[Event]] = {"train": [], "test": [], "all": []}
    splits: set[str] = set()
    for charge in charges:
        event = charge.event
        if event.steps and not getattr(event, "declared_public", False):
            role, split = split_group(charge.group)
            by_role[role].append(event)
            splits.add(split)
    train, test, everyone = by_role["train"], by_role["test"], by_role["all"]
    if len(splits) > 1:
        return [[*train, *test, *everyone]]
    return [[*role, *everyone] for role in (train, test) if role or everyone]


def _cure(already: float, asked: Charge) -> str:
    if math.isinf(already):
        return (
            "Something left this population without noise, which no later noise undoes; "
            "see `consilium audit ledger`."
        )
    if asked.event.steps and math.isinf(spent([asked], asked.delta)):
        return "Enable [privacy] in the study: without noise no budget is large enough."
    return (
        "Ask for fewer steps or more noise, or let the site raise [policy] max_epsilon; "
        "`consilium audit ledger` shows what was spent."
    )


def amount(epsilon: float) -> str:
    """ε in words."""
    return f"ε = {epsilon:.4g}" if math.isfinite(epsilon) else "ε = ∞"
