"""The running service, as the control plane sees and steers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from client.guard.book import WHOLE_SITE
from client.guard.budget import sharing, spent
from client.limits import budget_of
from client.service.state import ServiceState
from client.service.studies import Studies, StudyRecord
from client.site import Site
from client.site_folder import SiteFolder
from common.files import write_atomically


@dataclass(frozen=True)
class BudgetLine:
    """What the patients of one population have spent.

    Attributes:
        population: its name; empty: the whole site.
        spent: the ε at `delta`, for adding or removing one patient.
        limit, delta: the policy's.
        left: what of the limit is left.
        studies: names of the studies that were charged.
    """

    population: str
    spent: float
    limit: float
    delta: float
    left: float
    studies: tuple[str, ...]


class Running:
    """A site's service.

    Args:
        site: the hospital.
        folder: its private files.
        state: what it is doing.
        studies: what is approved.
    """

    def __init__(
        self, site: Site, folder: SiteFolder, state: ServiceState, studies: Studies
    ) -> None:
        self.site, self.folder, self.state = site, folder, state
        self._studies = studies
        self._set_paused(self.paused)

    @property
    def paused(self) -> bool:
        """Whether no new task is taken."""
        return pause_marker(self.folder).exists()

    def pause(self) -> None:
        """Finish the round in hand and take no new task; outlives a restart."""
        write_atomically(pause_marker(self.folder), "", durable=True)
        self._set_paused(True)
        self.state.tell("paused", "The site is paused: it takes no new task.")

    def resume(self) -> None:
        """Take tasks again."""
        pause_marker(self.folder).unlink(missing_ok=True)
        self._set_paused(False)
        self.state.tell("resumed", "The site takes tasks again.")

    def studies(self) -> Sequence[StudyRecord]:
        """Return every study that has arrived."""
        return self._studies.all()

    def approve(self, bundle: str, by: str) -> StudyRecord:
        """Approve a study, by its bundle's sha256, the beginning of that, or the study's name."""
        record = self._studies.approve(bundle, by)
        self._tell("approved", record)
        return record

    def revoke(self, bundle: str, by: str) -> StudyRecord:
        """Take an approval back."""
        record = self._studies.revoke(bundle, by)
        self._tell("revoked", record)
        return record

    def budget(self) -> Sequence[BudgetLine]:
        """Return what each population has spent, the whole site first."""
        return budget_lines(self.site, self._studies)

    def _tell(self, kind: str, record: StudyRecord) -> None:
        text = f"The study '{record.study.name}' ({record.bundle[:12]}) was {kind} by {record.by}."
        self.state.tell(kind, text, connection=record.connection, study=record.study.name)

    def _set_paused(self, paused: bool) -> None:
        self.state.update(lambda now: replace(now, paused=paused))


def budget_lines(site: Site, studies: Studies) -> list[BudgetLine]:
    """Return what each population of a site has spent at the policy's δ."""
    charges = studies.ledger.charges()
    named = {config.population for config in site.datasets.values()} | {
        each.population for each in charges
    }
    lines = []
    for name in (WHOLE_SITE, *sorted(n for n in named if n and n != site.name)):
        mine, budget = sharing(charges, name), budget_of(site.policy, name)
        used = spent(mine, budget.delta)
        whose = tuple(dict.fromkeys(each.study for each in mine))
        left = max(0.0, budget.max_epsilon - used)
        lines.append(BudgetLine(name, used, budget.max_epsilon, budget.delta, left, whose))
    return lines


def pause_marker(folder: SiteFolder) -> Path:
    """Return the file that, while it is there, keeps a site paused."""
    return folder.private / "paused"
