"""A study made ready at a site: device, patients, plan and terms, each made when it is first needed and then kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.claims import use_data
from client.data.cohort import Cohort
from client.data.prepare import prepare
from client.guard import anchor
from client.guard.ledger import Ledger
from client.guard.sources import DataSource
from client.randomness import Randomness
from client.site import Site
from client.terms import Terms
from client.training.batches import Samples, order_by_unit
from client.training.workspace import Workspace, choose_device
from common.lazy import lazy
from common.privacy.plan import SitePlan, plan_site
from common.study import Study


@dataclass(frozen=True)
class Folders:
    """Where an agent keeps what must not be lost.

    Attributes:
        ledger: the ledger file, one for the whole site.
        state: spool and status of this study.
        cache: prepared cohorts; None prepares them in memory only.
        egress: the log of what left, one for the whole site; None keeps no such log.
    """

    ledger: Path
    state: Path
    cache: Path | None = None
    egress: Path | None = None

    @property
    def anchors(self) -> tuple[Path, Path]:
        """Where the ledger's newest entry is remembered: beside it for all studies, and apart from it for this one."""
        return self.ledger.with_name(f".{self.ledger.name}.head"), self.state / anchor.FILE


class Prepared:
    """A site and a study, with everything that both need to work.

    Args:
        site: the hospital's own settings.
        study: the study as the site approved it.
        folders: where ledger, spool, egress log and cache are.
        secret: the site's secret, which keys pseudonyms and the split.
        randomness: the site's generator.
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
        simulated: bool,
    ) -> None:
        self.site = site
        self.study = study
        self.folders = folders
        self.randomness = randomness
        self._secret = secret
        fixed = randomness.origin == "fixed"
        self.simulated = simulated or fixed
        anchors = () if fixed else folders.anchors
        self.ledger = Ledger(folders.ledger, site=site.name, population=site.name, anchors=anchors)

    @lazy
    def space(self) -> Workspace:
        """The study made ready on this site's device."""
        return Workspace(self.study, choose_device(self.site.compute.device))

    @lazy
    def cohort(self) -> Cohort:
        """The site's patients for this study."""
        classes = self.space.task.classes
        return prepare(
            self.site,
            self.study.data,
            classes,
            self._secret,
            self.folders.cache,
            self.study.evaluation.subgroups,
        )

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
