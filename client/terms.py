"""What a study costs at a site: the mechanism events of every request, and the limits they must keep."""

from __future__ import annotations

from dataclasses import dataclass

from client.guard.book import WHOLE_SITE, Charge
from client.guard.budget import Budget, Limits, StudyBudget, StudyReleases
from client.limits import PolicyLimits
from client.messages import Request
from client.randomness import Randomness
from client.site import Policy
from common.privacy.events import Event, UnprotectedEvent
from common.privacy.plan import SitePlan, evaluated_rounds
from common.study import Study

KINDS = ("training", "statistics")
"""What a request may release; each is charged by itself."""


@dataclass(frozen=True)
class Terms:
    """The terms on which a site takes part in a study.

    Attributes:
        study: the study, as approved.
        policy: the site's limits.
        plan: what the study costs here; None without privacy.
        tally_bound: the most that one unit adds to the tally, as an L2 norm.
        split_id: how training and held-out patients were told apart.
        randomness: the site's generator.
        population: the patients who share the budget; empty: the whole site.
    """

    study: Study
    policy: Policy
    plan: SitePlan | None
    tally_bound: float
    split_id: str
    randomness: Randomness
    population: str = WHOLE_SITE

    @property
    def budget(self) -> PolicyLimits:
        """The site's limits over everything that its patients join, and over any one study."""
        return PolicyLimits.of(self.policy, self.population)

    @property
    def statistics(self) -> str:
        """none, noisy or exact: the policy's word; without privacy, noise would be pretence."""
        chosen = self.policy.statistics
        return "exact" if chosen == "noisy" and self.plan is None else chosen

    def events(self, request: Request) -> dict[str, tuple[str, Event]]:
        """Name what a request releases: `{"training": (role, event), "statistics": (role, event)}`."""
        events: dict[str, tuple[str, Event]] = {}
        if request.train:
            events["training"] = ("train", self._training())
        if request.evaluate and self.statistics != "none":
            events["statistics"] = ("test", self._statistics())
        return events

    def planned(self) -> list[Charge]:
        """The charges of the whole study, as far as they count against the budget."""
        if self.plan is None:
            return []
        whole = {"train": self.plan.training_event(self.plan.steps)}
        if self.statistics == "noisy":
            once = self.plan.evaluation_event(self.tally_bound)
            whole["test"] = once.with_steps(self.plan.evaluations)
        return [self._planned(role, event) for role, event in whole.items()]

    def limit(self, role: str, event: Event) -> Limits:
        """The limits that an event must keep; what costs no ε is counted, and not let out more often than planned."""
        if self.plan is None or isinstance(event, UnprotectedEvent):
            rounds = self.study.federation.rounds
            times = rounds if role == "train" else len(evaluated_rounds(self.study))
            return Limits((StudyReleases(self.study.fingerprint, role, times),))
        whole = self.plan.epsilon if role == "train" else self.plan.evaluation_epsilon
        planned = Budget(max_epsilon=whole, delta=self.plan.delta)
        return Limits((self.budget, StudyBudget(self.study.fingerprint, role, planned)))

    def group(self, role: str) -> str:
        """Return the ledger's name for the patients of a role."""
        return f"{role}/{self.split_id}"

    def _training(self) -> Event:
        if self.plan is None:
            return UnprotectedEvent("weights trained without noise", 1)
        return self.plan.training_event()

    def _statistics(self) -> Event:
        if self.statistics == "noisy" and self.plan is not None:
            return self.plan.evaluation_event(self.tally_bound)
        public = self.policy.statistics == "exact"
        return UnprotectedEvent("exact statistics of held-out patients", 1, declared_public=public)

    def _planned(self, role: str, event: Event) -> Charge:
        return Charge(
            study=self.study.name,
            fingerprint=self.study.fingerprint,
            round=0,
            group=self.group(role),
            event=event,
            delta=self.study.privacy.delta,
            randomness=self.randomness.origin,
            settled=False,
            population=self.population,
        )
