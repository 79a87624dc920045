"""The site agent: decides what a study may do here, trains, charges and lets the result out.

The same object serves a simulation, in process, and a hospital, where the Flower ClientApp asks it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from client.admission import admit, check_whole_cost
from client.charging import Charging, Opened
from client.due import never
from client.gate import Gate
from client.guard.book import Charge
from client.guard.budget import spent
from client.guard.egress import Declared, Parcel
from client.guard.egress_log import EgressLog
from client.guard.spool import KEPT_BYTES, Spool
from client.hours import check_hours
from client.messages import Request
from client.prepared import Folders, Prepared
from client.randomness import Randomness
from client.refusals import Refusals
from client.site import Site
from client.status import SiteStatus
from client.training.evaluation import evaluate
from client.training.plain import planned_steps, train_plain
from client.training.private import train_private
from client.training.workspace import Progress, Silent, Stop, Stoppable, Stopped
from common.errors import ConsiliumError, PolicyError
from common.lazy import lazy
from common.privacy.noise import SecureRandom
from common.study import Study
from common.tasks.base import Floats
from common.weights import Vector, rounded
from common.wire import Answer, Introduction

__all__ = ["Agent", "Folders"]


def _nobody_asks() -> None:
    """An agent whose maker answers for the approval."""


class Agent(Prepared):
    """One site in one study.

    Args:
        site: the hospital's own settings.
        study: the study as the site approved it.
        folders: where ledger, spool, egress log and cache are.
        secret: the site's secret, which keys pseudonyms and the split.
        randomness: the site's generator.
        watch: makes the `Progress` of a round; the round's number is its argument.
        simulated: the site is played by a simulation, which claims no data for its ledger; fixed randomness means so.
        approved: raises `PolicyError` when the site's approval of the study is gone; asked before every answer, and
            again before the answer leaves.
    """

    def __init__(
        self,
        site: Site,
        study: Study,
        folders: Folders,
        *,
        secret: bytes,
        randomness: Randomness,
        watch: Callable[[int], Progress] | None = None,
        simulated: bool = False,
        approved: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            site, study, folders, secret=secret, randomness=randomness, simulated=simulated
        )
        self.watch = watch or (lambda _: Silent())
        self.approved = approved or _nobody_asks
        self.spool = Spool(folders.state / "spool", 0 if self.simulated else KEPT_BYTES)
        self.egress = None if folders.egress is None else EgressLog(folders.egress, site.name)
        self.refusals = Refusals(folders.state)
        self._stop = Stop()
        self._one_at_a_time = threading.RLock()

    @lazy
    def charging(self) -> Charging:
        """How requests are charged."""
        return Charging(self.ledger, self.spool, self.terms, self.egress)

    @lazy
    def declared(self) -> Declared:
        """What may leave."""
        kept = self.terms.statistics == "none"
        return Declared(
            layout=self.space.layout,
            statistics={} if kept else self.space.task.tally_layout,
            wire=self.study.federation.wire,
            max_bytes=self.site.policy.max_bytes_per_round,
        )

    @lazy
    def gate(self) -> Gate:
        """What every reply passes."""
        return Gate(self.study, self.declared, self.egress)

    def describe(self) -> Introduction:
        """Check that the study may and can run here, and say what is public about the site.

        Raises:
            PolicyError: the site's policy forbids the study.
            BudgetError: the whole study does not fit into what is left of the budget.
            DataError: the data cannot be used.
        """
        self._check_policy()
        self.gate.check_size(weights=True, statistics=False)
        planned = self.terms.planned()
        if planned:
            where = f"{self.site.file}, [policy]"
            check_whole_cost(self.terms.budget, self.ledger.charges(), planned, where=where)
        self._claim_data()
        self.ledger.record_policy(self.site.policy.model_dump(mode="json"))
        self._status().write()
        return Introduction(
            self.site.name, self.declared_patients, self.space.layout.digest, self.terms.statistics
        )

    def handle(self, request: Request, in_time: Callable[[], None] = never) -> Answer:
        """Answer a request: the spooled bytes where there are some, else new ones, charged before they are made.

        Args:
            request: what is asked.
            in_time: raises `TooLate` once an answer would not count any more.

        Raises:
            PolicyError, BudgetError, DataError, MachineError: nothing leaves, and `what` says why.
            Stopped: the site is being stopped; nothing leaves, and nothing is charged.
            TooLate: the round is over; nothing leaves. What was made already waits in the spool under an open charge.
        """
        with self._one_at_a_time:
            self._stop.check()
            self._check_policy()
            request.check(self.study, self.space.layout, self.site.name)
            self.gate.check_size(weights=request.train, statistics=request.evaluate)
            self._check_hours(request)
            self._claim_data()
            self.charging.forgo_before(request.round)
            if self.spool.load(request.key) is None:
                in_time()
            return self._answer(request, in_time)

    def stop(self) -> None:
        """End what is in hand at its next step, and answer nothing any more; any thread may call it."""
        self._stop.set()

    def _answer(self, request: Request, in_time: Callable[[], None]) -> Answer:
        """Charge, make, look, keep, log, settle: in this order, so that a crash anywhere leaves nothing uncharged."""
        opened = self.charging.reserve(request)
        kept = self.spool.load(opened.key)
        parcel = self._made(request, opened) if kept is None else kept
        self.gate.look(request, opened.key, parcel)
        if kept is None:
            self._keep(opened, parcel)
        if opened.reservations:
            in_time()  # a reply that nobody would use stays here, where it costs nothing in the end
        self.gate.note(request, opened.key, parcel)
        self.charging.settle(opened, parcel.digest)
        self._status(sum(self.declared.parts(parcel).values())).write()
        return Answer(
            self.site.name,
            self.declared_patients,
            self.ledger.head(),
            parcel.weights,
            parcel.tally,
            self.declared.wire,
        )

    def _made(self, request: Request, opened: Opened) -> Parcel:
        """Return a new parcel; what is stopped before it is whole costs nothing."""
        try:
            return self._as_sent(self._make(request))
        except Stopped:
            self.charging.give_back(opened)
            raise

    def _keep(self, opened: Opened, parcel: Parcel) -> None:
        """Spool a new parcel, unless the approval was taken back while it was made: then it is thrown away."""
        try:
            self.approved()
        except ConsiliumError:
            self.charging.give_back(opened)
            raise
        self.spool.save(opened.key, parcel)

    def _as_sent(self, parcel: Parcel) -> Parcel:
        """Round what travels in fewer bits: what is looked at, spooled and charged is what arrives."""
        if parcel.weights is None:
            return parcel
        return Parcel(rounded(parcel.weights, self.declared.wire), parcel.tally)

    def _make(self, request: Request) -> Parcel:
        tally = (
            self._tally(request) if request.evaluate and self.terms.statistics != "none" else None
        )
        weights = self._train(request) if request.train else None
        return Parcel(weights, tally)

    def _train(self, request: Request) -> Vector:
        progress = Stoppable(self.watch(request.round), self._stop)
        sampling = self._stream(request, "sampling")
        if self.plan is None:
            weights, _ = train_plain(
                self.space, request.weights, self.samples, sampling, progress, request.round
            )
            return weights
        noise = self._stream(request, "noise")
        return train_private(
            self.space,
            request.weights,
            self.samples,
            self.plan,
            sampling,
            noise,
            progress,
            request.round,
        )

    def _tally(self, request: Request) -> Floats:
        exact = self.terms.statistics == "exact"
        tally = evaluate(
            self.space, request.weights, self.cohort, self._stop.check, exact=exact
        ).flat()
        if self.terms.statistics == "noisy" and self.plan is not None:
            deviation = self.plan.evaluation_noise * self.space.task.tally_bound
            tally = tally + deviation * self._stream(request, "statistics").normal(tally.size)
        return tally

    def _stream(self, request: Request, purpose: str) -> SecureRandom:
        return self.randomness.stream(self.site.name, request.key, purpose)

    def _check_policy(self) -> None:
        """What the policy rules out stays out, whether or not the coordinator asked for a description first."""
        self.approved()
        admit(self.site, self.study)
        self._check_patients()

    def _check_hours(self, request: Request) -> None:
        """What was trained in the hours may leave after them."""
        if request.train and self.site.policy.hours and self.spool.load(request.key) is None:
            check_hours(self.site)

    def _claim_data(self) -> None:
        """Once in an agent's life, before it spends anything."""
        _ = self.source

    def _check_patients(self) -> None:
        least = self.site.policy.min_patients
        if self.cohort.train_patients < least:
            raise PolicyError(
                f"The site has fewer training patients than its policy's minimum of {least}.",
                where=f"{self.site.file}, [policy] min_patients",
                fix="Add patients, or lower the minimum after weighing what it protects.",
            )

    def _steps_of(self, charges: list[Charge]) -> int:
        """Optimiser steps behind the charges; without privacy a charge is a round."""
        charged = sum(c.event.steps for c in charges if c.group.startswith("train/"))
        if self.plan is not None:
            return charged
        return charged * planned_steps(self.study.training, self.cohort.count("train"))

    def _status(self, sent: int = 0) -> SiteStatus:
        charges = self.ledger.charges()
        mine = [charge for charge in charges if charge.fingerprint == self.study.fingerprint]
        before = SiteStatus.read(self.folders.state)
        return SiteStatus.of(
            self.folders.state,
            self.cohort,
            declared_patients=self.declared_patients,
            steps=self._steps_of(mine),
            sigma=self.plan.noise_multiplier if self.plan else 0.0,
            delta=self.study.privacy.delta,
            epsilon=spent(mine, self.study.privacy.delta),
            bytes_sent=(before.bytes_sent if before else 0) + sent,
        )
