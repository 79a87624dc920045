"""The limits of a site's policy, as the ledger asks them before every charge and a study meets them as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from client.guard.book import WHOLE_SITE, Charge
from client.guard.budget import Budget, amount, sharing, spent
from client.site import Policy
from common.errors import BudgetError


@dataclass(frozen=True)
class PopulationBudget:
    """The limit of one population; a charge to the whole site counts for every population.

    Attributes:
        population: its name; empty: everybody who is in no population with a limit of its own.
        budget: its limit.
        own: the populations that have limits of their own.
    """

    population: str
    budget: Budget
    own: frozenset[str] = frozenset()

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Refuse a charge that would not fit.

        Raises:
            BudgetError: with what was spent, what was asked and the limit.
        """
        if self._touched(asked):
            self.budget.check(self.among(charges, asked.population), asked)

    def among(self, charges: Iterable[Charge], asked: str) -> list[Charge]:
        """Return the charges that count beside one to the population `asked`."""
        if self.population:
            return sharing(charges, self.population)
        return [each for each in sharing(charges, asked) if each.population not in self.own]

    def _touched(self, asked: Charge) -> bool:
        if self.population:
            return asked.population in (WHOLE_SITE, self.population)
        return asked.population not in self.own

    def check_whole(
        self, charges: Iterable[Charge], planned: Sequence[Charge], *, where: str
    ) -> None:
        """Refuse a study that could not finish.

        Raises:
            BudgetError: with what is spent, what the study needs and the limit.
        """
        if not self._touched(planned[0]):
            return
        mine = planned[0].fingerprint
        touched = self.among(charges, planned[0].population)
        others = [charge for charge in touched if charge.fingerprint != mine]
        whole = spent([*others, *planned], self.budget.delta)
        if not self.budget.exceeded_by(whole):
            return
        before = spent(others, self.budget.delta)
        whose = f" of population '{self.population}'" if self.population else ""
        raise BudgetError(
            f"The whole study does not fit the budget{whose}: ε = {before:.4g} spent on other studies, {whole:.4g} "
            f"with this one, {self.budget.max_epsilon:.4g} allowed at δ = {self.budget.delta:g} "
            "(add/remove one patient).",
            where=where,
            fix="Lower [privacy] epsilon or the rounds in the study, or let the site change max_epsilon or delta.",
        )


@dataclass(frozen=True)
class AnyStudy:
    """What the policy lets any one study cost, whatever is left over all.

    Attributes:
        budget: the limit.
    """

    budget: Budget

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Refuse what would make its study cost more.

        Raises:
            BudgetError: with what the study would cost and the limit.
        """
        mine = [each for each in charges if each.fingerprint == asked.fingerprint]
        where = f"study '{asked.study}', round {asked.round}"
        self._check([*mine, asked], where)

    def check_whole(
        self, charges: Iterable[Charge], planned: Sequence[Charge], *, where: str
    ) -> None:
        """Refuse a study that as a whole costs more.

        Raises:
            BudgetError: with what it costs and the limit.
        """
        self._check(planned, where)

    def _check(self, charges: Sequence[Charge], where: str) -> None:
        whole = spent(charges, self.budget.delta)
        if self.budget.exceeded_by(whole):
            raise BudgetError(
                f"The study would cost {amount(whole)}; the site's policy lets any one study cost "
                f"{amount(self.budget.max_epsilon)} at δ = {self.budget.delta:g} (add/remove one patient).",
                where=where,
                fix="Lower [privacy] epsilon in the study, or let the site raise [policy] max_epsilon_per_study.",
            )


@dataclass(frozen=True)
class PolicyLimits:
    """All limits of a policy; each must allow a charge, and a study as a whole.

    Attributes:
        parts: asked in turn.
    """

    parts: tuple[PopulationBudget | AnyStudy, ...]

    @classmethod
    def of(cls, policy: Policy, population: str = WHOLE_SITE) -> PolicyLimits:
        """Collect the limits that a charge to a population must keep."""
        own = frozenset(policy.populations)
        names = (WHOLE_SITE, *sorted(own))
        parts: list[PopulationBudget | AnyStudy] = [
            PopulationBudget(name, budget_of(policy, name), own) for name in names
        ]
        if policy.max_epsilon_per_study is not None:
            delta = budget_of(policy, population).delta
            parts.append(AnyStudy(Budget(policy.max_epsilon_per_study, delta)))
        return cls(tuple(parts))

    def check(self, charges: Iterable[Charge], asked: Charge) -> None:
        """Ask every limit about one charge.

        Raises:
            BudgetError: from the first that refuses.
        """
        before = list(charges)
        for part in self.parts:
            part.check(before, asked)

    def check_whole(
        self, charges: Iterable[Charge], planned: Sequence[Charge], *, where: str
    ) -> None:
        """Ask every limit about a whole study, before its first round spends anything.

        Args:
            charges: what the site's patients have spent, on any study.
            planned: the whole of this study, of one population; what it has spent already is not counted twice.
            where: for the message.

        Raises:
            BudgetError: from the first that refuses.
        """
        before = list(charges)
        for part in self.parts:
            part.check_whole(before, planned, where=where)


def budget_of(policy: Policy, population: str) -> Budget:
    """Return the limit of a population: its own, or the site's."""
    own = policy.populations.get(population)
    limit = policy if own is None else own
    return Budget(max_epsilon=limit.max_epsilon, delta=limit.delta)
