"""The site agent: decides what a study may do here, trains, charges and lets the result out.

The same object serves a simulation, in process, and a hospital, where the Flower ClientApp asks it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.admission import admit, check_whole_cost
from client.claims import use_data
from client.data.cohort import Cohort
from client.data.prepare import prepare
from client.guard import anchor
from client.guard.book import Charge, Reservation
from client.guard.budget import spent
from client.guard.egress import Parcel, inspect
from client.guard.ledger import AlreadySettled, Ledger
from client.guard.sources import DataSource
from client.guard.spool import Spool
from client.messages import Request
from client.randomness import Randomness
from client.refusals import Refusals
from client.site import Site
from client.status import SiteStatus
from client.terms import Terms
from client.training.batches import Samples, order_by_unit
from client.training.evaluation import evaluate
from client.training.plain import planned_steps, train_plain
from client.training.private import train_private
from client.training.workspace import Progress, Silent, Workspace, choose_device
from common.errors import BudgetError, PolicyError
from common.lazy import lazy
from common.privacy.events import Event
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan, plan_site
from common.study import Study
from common.tasks.base import Floats
from common.weights import Vector
from common.wire import Answer, Introduction


@dataclass(frozen=True)
class Folders:
    """Where an agent keeps what must not be lost.

    Attributes:
        ledger: the ledger file, one for the whole site.
        state: spool and status of this study.
        cache: prepared cohorts; None prepares them in memory only.
    """

    ledger: Path
    state: Path
    cache: Path | None = None

    @property
    def anchors(self) -> tuple[Path, Path]:
        """Where the ledger's newest entry is remembered: beside it for all studies, and apart from it for this one."""
        return self.ledger.with_name(f".{self.ledger.name}.head"), self.state / anchor.FILE


class Agent:
    """One site in one study.

    Args:
        site: the hospital's own settings.
        study: the study as the site approved it.
        folders: where ledger, spool and cache are.
        secret: the site's secret, which keys pseudonyms and the split.
        randomness: the site's generator.
        watch: makes the `Progress` of a round; the round's number is its argument.
        simulated: the site is played by a simulation, which claims no data for its ledger; fixed randomness means so.
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
    ) -> None:
        self.site = site
        self.study = study
        self.folders = folders
        self.randomness = randomness
        self.watch = watch or (lambda _: Silent())
        self._secret = secret
        fixed = randomness.origin == "fixed"
        self.simulated = simulated or fixed
        anchors = () if fixed else folders.anchors
        self.ledger = Ledger(folders.ledger, site=site.name, population=site.name, anchors=anchors)
        self.spool = Spool(folders.state / "spool")
        self.refusals = Refusals(folders.state)
        self._one_at_a_time = threading.RLock()

    @lazy
    def space(self) -> Workspace:
        """The study made ready on this site's device."""
        return Workspace(self.study, choose_device(self.site.compute.device))

    @lazy
    def cohort(self) -> Cohort:
        """The site's patients for this study."""
        classes = self.space.task.classes
        return prepare(self.site, self.study.data, classes, self._secret, self.folders.cache)

    @lazy
    def samples(self) -> Samples:
        """The training samples on the device, ordered by the unit of privacy."""
        rows = self.cohort.rows("train")
        by_patient = self.study.privacy.unit == "patient"
        unit = self.cohort.patient[rows] if by_patient else np.arange(len(rows))
        cohort = self.cohort
        return order_by_unit(cohort.inputs[rows], cohort.targets[rows], unit, self.space.device)

    @lazy
    def plan(self) -> SitePlan | None:
        """What the study costs here; None without privacy."""
        return plan_site(self.study, self.declared_patients) if self.study.privacy.enabled else None

    @lazy
    def source(self) -> DataSource:
        """The data that the study uses, claimed for the ledger and noted in it."""
        return use_data(self.site, self.study.data, self.ledger, simulated=self.simulated)

    @lazy
    def terms(self) -> Terms:
        """The terms on which the site takes part."""
        return Terms(
            study=self.study,
            policy=self.site.policy,
            plan=self.plan,
            tally_bound=self.space.task.tally_bound,
            split_id=self.cohort.split_id,
            randomness=self.randomness,
            population=self.site.population(self.study.data),
        )

    @property
    def held_bytes(self) -> int:
        """Memory that the prepared data hold; 0 before they are first used."""
        ready = [self.__dict__[name] for name in ("cohort", "samples") if name in self.__dict__]
        return sum(item.inputs.nbytes for item in ready)

    @property
    def declared_patients(self) -> int:
        """The public number of patients that the site states for the study's data set."""
        return self.site.dataset(self.study.data).declared_patients

    def describe(self) -> Introduction:
        """Check that the study may and can run here, and say what is public about the site.

        Raises:
            PolicyError: the site's policy forbids the study.
            BudgetError: the whole study does not fit into what is left of the budget.
            DataError: the data cannot be used.
        """
        self._check_policy()
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

    def handle(self, request: Request) -> Answer:
        """Answer a request: the spooled bytes where there are some, else new ones, charged before they are made.

        Raises:
            PolicyError, BudgetError, DataError, MachineError: nothing leaves, and `what` says why.
        """
        with self._one_at_a_time:
            self._check_policy()
            request.check(self.study, self.space.layout, self.site.name)
            self._claim_data()
            return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        reservations, key = self._reserve(request)
        parcel = self.spool.load(key)
        if parcel is None:
            parcel = self._make(request)
            inspect(parcel, self.space.layout, self._tally_size)
            self.spool.save(key, parcel)
        for reservation in reservations:
            self.ledger.settle(reservation, steps=reservation.event.steps, released=parcel.digest)
        self._status(parcel.size).write()
        return Answer(
            self.site.name,
            self.declared_patients,
            self.ledger.head(),
            parcel.weights,
            parcel.tally,
        )

    def _reserve(self, request: Request) -> tuple[list[Reservation], str]:
        """Charge everything that the answer will release; return the open reservations and the spool's key.

        A key that is settled, but whose bytes are gone, cannot be made again for nothing: the next attempt is a new
        charge under a new key.
        """
        attempt = 0
        while True:
            key = request.key if not attempt else f"{request.key}-again-{attempt}"
            opened, released = self._reserve_under(key, request)
            if released is None or self._spooled(key) == released:
                return opened, key
            attempt += 1

    def _spooled(self, key: str) -> str | None:
        """The digest of the spooled bytes: only the very bytes that a charge was settled for may leave again."""
        parcel = self.spool.load(key)
        return None if parcel is None else parcel.digest

    def _reserve_under(self, key: str, request: Request) -> tuple[list[Reservation], str | None]:
        """Return the open reservations of a key, and the digest that its settled charges were for."""
        opened: list[Reservation] = []
        released: str | None = None
        for name, (role, event) in self.terms.events(request).items():
            try:
                opened.append(self._reserve_one(f"{key}/{name}", request, role, event))
            except AlreadySettled as settled:
                released = settled.released or "nothing"
            except BudgetError:
                self._give_back(opened)
                raise
        return opened, released

    def _give_back(self, opened: list[Reservation]) -> None:
        """Settle reservations under which nothing was made and nothing will leave."""
        for reservation in opened:
            self.ledger.settle(reservation, steps=0, released=None)

    def _reserve_one(self, key: str, request: Request, role: str, event: Event) -> Reservation:
        return self.ledger.reserve(
            key,
            study=self.study.name,
            fingerprint=self.study.fingerprint,
            round=request.round,
            group=self.terms.group(role),
            event=event,
            delta=self.study.privacy.delta,
            randomness=self.randomness.origin,
            budget=self.terms.limit(role, event),
            population=self.terms.population,
        )

    def _make(self, request: Request) -> Parcel:
        tally = (
            self._tally(request) if request.evaluate and self.terms.statistics != "none" else None
        )
        weights = self._train(request) if request.train else None
        return Parcel(weights, tally)

    def _train(self, request: Request) -> Vector:
        progress = self.watch(request.round)
        sampling = self._stream(request, "sampling")
        if self.plan is None:
            return train_plain(self.space, request.weights, self.samples, sampling, progress)[0]
        noise = self._stream(request, "noise")
        return train_private(
            self.space, request.weights, self.samples, self.plan, sampling, noise, progress
        )

    def _tally(self, request: Request) -> Floats:
        tally = evaluate(self.space, request.weights, self.cohort).flat()
        if self.terms.statistics == "noisy" and self.plan is not None:
            deviation = self.plan.evaluation_noise * self.space.task.tally_bound
            tally = tally + deviation * self._stream(request, "statistics").normal(tally.size)
        return tally

    def _stream(self, request: Request, purpose: str) -> SecureRandom:
        return self.randomness.stream(self.site.name, request.key, purpose)

    @property
    def _tally_size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.space.task.tally_layout.values())

    def _check_policy(self) -> None:
        """What the policy rules out stays out, whether or not the coordinator asked for a description first."""
        admit(self.site, self.study)
        self._check_patients()

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
