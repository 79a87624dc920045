"""What a study would cost a site's patients on top of what they have spent, and what would still fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.audit.export import require_file
from client.guard.book import Book, Charge, split_group
from client.guard.budget import Budget, sharing, worst_cases
from client.guard.chain import Chain
from client.limits import budget_of
from client.site import Site
from common.errors import StudyError, TamperedError
from common.privacy.accountants import RECORD_INTERVAL, Epsilons, epsilon, epsilon_pld
from common.privacy.events import Event, GaussianEvent
from common.privacy.plan import SitePlan, evaluated_rounds, plan_site
from common.study import Study

Role = str


@dataclass(frozen=True)
class StudyCost:
    """A study at one site, with all that its patients' budget has to do with it.

    Attributes:
        study: the study.
        plan: its steps, noise and cost at this site.
        noisy_statistics: whether the held-out patients' statistics leave with noise, at a cost.
        population: whose budget it is; empty: the whole site's.
        budget: the site's limit, or None if none is known.
        others: charges of other studies that touch the same patients.
        begun: rounds of this study that the ledger already holds; they are part of the plan, not counted twice.
        book_given: whether a ledger says what was spent.
        stranger: the ledger's site, where that is another than the one that plans; else empty.
        split: how training and held-out patients are told apart; of several splits, everything composes.
    """

    study: Study
    plan: SitePlan
    noisy_statistics: bool
    population: str
    budget: Budget | None
    others: tuple[Charge, ...]
    begun: int
    split: str
    book_given: bool = False
    stranger: str = ""

    @property
    def delta(self) -> float:
        """δ at which spending adds up: the budget's, or the study's."""
        return self.plan.delta if self.budget is None else self.budget.delta

    @property
    def roles(self) -> tuple[Role, ...]:
        """Whose patients the study touches with noise."""
        return ("train", "test") if self.noisy_statistics else ("train",)

    def events(self, role: Role, rounds: int | None = None) -> GaussianEvent:
        """The mechanism that a role's patients meet in the first rounds, or in all."""
        done = self.plan.rounds if rounds is None else rounds
        if role == "train":
            return self.plan.training_event(done * self.plan.steps_per_round)
        evaluated = sum(one <= done for one in evaluated_rounds(self.study))
        if done > self.plan.rounds:  # more rounds than planned are evaluated as often
            evaluated += (done - self.plan.rounds) // self.study.evaluation.every
        return self.plan.evaluation_event(1.0).with_steps(evaluated)

    def alone(self, role: Role) -> Epsilons:
        """ε of the study alone, at its own δ."""
        return epsilon([self.events(role)], self.plan.delta)

    def charges(self, rounds: int | None = None) -> list[Charge]:
        """What the ledger would hold after so many rounds."""
        planned = (
            Charge(
                study=self.study.name,
                fingerprint=self.study.fingerprint,
                round=0,
                group=f"{role}/{self.split}",
                event=self.events(role, rounds),
                delta=self.plan.delta,
                randomness="system",
                settled=False,
                population=self.population,
            )
            for role in self.roles
        )
        return [*self.others, *planned]

    def spent(
        self, rounds: int | None = None, role: Role | None = None, interval: float = RECORD_INTERVAL
    ) -> float:
        """ε by PLD of the patient (of a role) who has spent most after so many rounds, 0 for before."""
        charges = self.charges(rounds)
        return max(
            (epsilon_pld(case, self.delta, interval) for case in cases(charges, role)), default=0.0
        )

    def together(self) -> Epsilons:
        """ε of the worst patient after the study, by every accountant."""
        each = [epsilon(case, self.delta) for case in worst_cases(self.charges())]
        known = [one.prv for one in each if one.prv is not None]
        return Epsilons(
            pld=max(one.pld for one in each),
            prv=max(known) if len(known) == len(each) else None,
            rdp=max(one.rdp for one in each),
            prv_note="; ".join(dict.fromkeys(one.prv_note for one in each if one.prv_note)),
        )

    @property
    def too_much(self) -> bool:
        """Whether the whole study overruns the budget."""
        return self.budget is not None and self.budget.exceeded_by(self.spent())


def cost_of(
    study: Study,
    patients: int,
    *,
    site: Site | None = None,
    book: Book | None = None,
) -> StudyCost:
    """Bring together what the cost depends on.

    Args:
        study: with privacy enabled.
        patients: the site's public number of patients.
        site: whose policy counts; without one, the policy that the ledger recorded last.
        book: what was spent.

    Raises:
        StudyError: the study trains without noise, or cannot be planned.
    """
    if not study.privacy.enabled:
        raise StudyError(
            "The study trains without noise: its ε is infinite, and there is nothing to plan.",
            where="[privacy] enabled",
            fix="Enable privacy in the study, or add --set privacy.enabled=true.",
        )
    population = "" if site is None else site.population(study.data)
    charges = [] if book is None else sharing(book.charges(), population)
    mine = [charge for charge in charges if charge.fingerprint == study.fingerprint]
    return StudyCost(
        study=study,
        plan=plan_site(study, patients),
        noisy_statistics=site is None or site.policy.statistics == "noisy",
        population=population,
        budget=_budget(site, book, population),
        others=tuple(charge for charge in charges if charge.fingerprint != study.fingerprint),
        begun=len({charge.round for charge in mine if charge.event.steps}),
        split=_split(study, mine),
        book_given=book is not None,
        stranger=book.site
        if book is not None and site is not None and book.site != site.name
        else "",
    )


def read_ledger(path: Path) -> Book:
    """Verify a ledger and read it.

    Raises:
        StudyError: there is no such file.
        TamperedError: the chain does not hold; what such a file says proves nothing.
    """
    require_file(path)
    book = Book()
    chain = Chain(path, writable=False).verify(book.apply)
    if not chain.intact:
        raise TamperedError(
            f"The ledger's chain is broken at entry {chain.broken_at}: {chain.reason}.",
            where=str(path),
            fix="Keep the file as evidence and go back to a copy that verifies.",
        )
    return book


def worst_case(charges: Iterable[Charge], delta: float) -> Sequence[Event]:
    """The events of the patient who has spent most."""
    return max(worst_cases(charges), key=lambda case: epsilon_pld(case, delta), default=[])


def cases(charges: Iterable[Charge], role: Role | None) -> list[Sequence[Event]]:
    """The lists of events that one patient of a role may have been in; of several splits, everything composes."""
    every = list(charges)
    splits = {split_group(charge.group)[1] for charge in every}
    if role is not None and len(splits) <= 1:
        every = [charge for charge in every if split_group(charge.group)[0] in (role, "all")]
    return worst_cases(every)


def _split(study: Study, mine: Sequence[Charge]) -> str:
    """The split of the study's charges in the ledger; else the one that a site draws unless its data declare one."""
    return split_group(mine[0].group)[1] if mine else f"hash:{study.data.test_fraction}"


def _budget(site: Site | None, book: Book | None, population: str) -> Budget | None:
    if site is not None:
        return budget_of(site.policy, population)
    policy = None if book is None else book.policy
    try:
        return (
            Budget(*(float(str(policy[name])) for name in ("max_epsilon", "delta")))
            if policy
            else None
        )
    except (KeyError, ValueError, StudyError):
        return None
