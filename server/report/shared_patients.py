"""ε for a patient whom two hospitals know, composed from what each of them ran."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence

from pydantic import ValidationError

from common.errors import StudyError
from common.privacy.accountants import PROGRESS_INTERVAL, epsilon_pld
from common.privacy.events import Event
from common.privacy.joint import joint_epsilon
from common.privacy.plan import evaluated_rounds, plan_site
from common.study import Study
from server.report.run_folder import Run
from server.report.schema import Site

_MOST_DIFFERENT = 40  # hospitals with plans of their own; more would keep a reader waiting
_AGREEMENT = 0.005  # between a hospital's recorded ε and what its events cost


def jointly(run: Run, hospitals: int = 2) -> tuple[float, float] | None:
    """ε and δ for a patient of so many hospitals, whichever of them and in whichever role.

    None where the mechanisms cannot be told from the study file and the hospitals' public numbers of patients, or do
    not cost what the hospitals recorded.
    """
    sites = run.metrics.sites.values()
    if len({site.declared_patients for site in sites}) > _MOST_DIFFERENT:
        return None
    try:
        study = Study.model_validate(tomllib.loads(run.study))
        roles = [_roles(study, site, run) for site in sites]
    except (ValidationError, StudyError, tomllib.TOMLDecodeError):
        return None
    known = [each for one in roles if one is not None for each in one]
    if None in roles or len(roles) < hospitals:
        return None
    delta = study.privacy.delta
    found = joint_epsilon(known, delta, hospitals).epsilon
    return (found, delta) if math.isfinite(found) else None


def _roles(study: Study, site: Site, run: Run) -> list[Sequence[Event]] | None:
    """What a training and what a held-out patient of a hospital met; None where that is not what it recorded."""
    if not study.privacy.enabled or None in (site.declared_patients, site.steps, site.epsilon):
        return None
    plan = plan_site(study, int(site.declared_patients or 0))
    roles: list[Sequence[Event]] = [[plan.training_event(int(site.steps or 0))]]
    if "noisy" in (run.metrics.privacy.statistics or ""):
        done = sum(number <= (run.metrics.rounds or 0) for number in evaluated_rounds(study))
        roles.append([plan.evaluation_event(1.0).with_steps(done)])
    cost = max(epsilon_pld(events, plan.delta, PROGRESS_INTERVAL) for events in roles)
    agrees = math.isclose(cost, site.epsilon or 0.0, rel_tol=_AGREEMENT)
    return roles if agrees else None
