"""Charges to a restored ledger, in full, the rounds that a coordinator saw and that the backup lacks.

The charges are reservations that are never settled: they cost the most that the rounds may have cost, and count for
every patient of the population, since nobody knows any more how patients were split.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from client.guard.ledger import Ledger
from client.setup.backup_evidence import Run
from client.site import Site
from common.privacy.events import Event, UnprotectedEvent
from common.study import Study

_GROUP = "all/restored"


def charge_missing(ledger: Path, site: Site, run: Run) -> int:
    """Charge what a run lost and return the number of charges.

    Args:
        ledger: the copy that is about to be put back.
        site: whose it is; its policy says which statistics left.
        run: what was compared.

    Raises:
        StudyError: the site has no data set that fits the study, or the ledger is another site's.
        TamperedError: the ledger does not hold together.
    """
    book = Ledger(ledger, site=site.name, population=site.name)
    charged = 0
    for reply in run.lost:
        for name, event in _most(site, run.study):
            book.reserve(
                f"restored/{run.study.fingerprint}/{reply.round}/{reply.head}/{name}",
                study=run.study.name,
                fingerprint=run.study.fingerprint,
                round=reply.round,
                group=_GROUP,
                event=event,
                delta=run.study.privacy.delta,
                randomness="system",
                population=site.population(run.study.data),
            )
            charged += 1
    return charged


def _most(site: Site, study: Study) -> Iterator[tuple[str, Event]]:
    """The most that one reply can have released."""
    from common.privacy.plan import plan_site
    from common.tasks import build_task

    if not study.privacy.enabled:
        yield "training", UnprotectedEvent("weights trained without noise", 1)
        return
    plan = plan_site(study, site.dataset(study.data).declared_patients)
    yield "training", plan.training_event()
    if site.policy.statistics == "noisy":
        yield "statistics", plan.evaluation_event(build_task(study).tally_bound)
