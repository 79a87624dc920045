"""What the sites' statistics say together, and what the coordinator knows of their spending."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import SitesError
from common.privacy.plan import plan_site
from common.study import Study
from common.tasks.base import Tally, Task
from common.wire import Answer
from server.members import Member


@dataclass(frozen=True)
class Tallies:
    """Reads the statistics in the sites' answers.

    Attributes:
        study: the study.
        task: gives metrics from tallies.
    """

    study: Study
    task: Task

    def check(self, answer: Answer) -> None:
        """Refuse statistics that are not the study's.

        Raises:
            SitesError: a value is not finite.
            PolicyError: there are more or fewer than declared.
        """
        if answer.tally is None:
            return
        if not np.isfinite(answer.tally).all():
            raise SitesError("the statistics hold values that are not finite")
        Tally.from_flat(answer.tally, self.task.tally_layout)

    def read(
        self, answers: Mapping[str, Answer], members: Mapping[str, Member]
    ) -> dict[str, Tally]:
        """Return the tallies in the answers, by site."""
        return {
            name: Tally.from_flat(
                answer.tally, self.task.tally_layout, self._variance(members[name])
            )
            for name, answer in answers.items()
            if answer.tally is not None
        }

    def _variance(self, member: Member) -> float:
        """Return the variance of the noise on a site's statistics, which follows from public numbers."""
        if member.statistics != "noisy" or not self.study.privacy.enabled:
            return 0.0
        plan = plan_site(self.study, member.declared_patients)
        return (plan.evaluation_noise * self.task.tally_bound) ** 2

    def site_record(self, answer: Answer, size: int, round_: int) -> dict[str, Any]:
        """What the coordinator knows of a site's part: ε follows from public numbers."""
        record = {"bytes_sent": size, "ledger_head": answer.ledger_head}
        if not self.study.privacy.enabled:
            return record
        plan = plan_site(self.study, answer.declared_patients)
        steps = plan.steps_per_round * round_
        return record | {"steps": steps, "epsilon": plan.epsilon_after(round_)}


def pooled(task: Task, tallies: Mapping[str, Tally]) -> dict[str, float] | None:
    """Return the metrics of all sites' patients together, or None where no site sent statistics."""
    if not tallies:
        return None
    total = Tally.zeros(task.tally_layout)
    for tally in tallies.values():
        total = total + tally
    return task.metrics(total)
