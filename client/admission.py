"""Whether a site's policy lets a study in at all, before any data are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from client.guard.book import Charge
from client.limits import PolicyLimits
from client.site import Site
from common.errors import PolicyError
from common.study import Study


def admit(site: Site, study: Study) -> None:
    """Refuse a study that the policy rules out.

    Raises:
        PolicyError: the policy forbids the task, the model, the study's δ, or training without privacy.
    """
    _check_list("task", study.task.name, site.policy.allowed_tasks, site)
    _check_list("model", study.model.name, site.policy.allowed_models, site)
    if not study.privacy.enabled:
        _check_non_private(site)
        return
    _check_delta(site, study)
    if site.policy.statistics == "noisy":
        _check_noisy(site, study)


def _check_list(what: str, name: str, allowed: tuple[str, ...] | None, site: Site) -> None:
    if allowed is not None and name not in allowed:
        raise PolicyError(
            f"The site's policy does not allow the {what} '{name}'.",
            where=f"{site.file}, [policy] allowed_{what}s",
            fix=f"It allows: {', '.join(allowed) or 'none'}.",
        )


def _check_delta(site: Site, study: Study) -> None:
    most = site.policy.max_delta_per_study
    if most is not None and study.privacy.delta > most:
        raise PolicyError(
            f"The study's promise holds but for δ = {study.privacy.delta:g}; the site's policy allows {most:g}.",
            where=f"{site.file}, [policy] max_delta_per_study",
            fix="Lower [privacy] delta in the study.",
        )


def _check_non_private(site: Site) -> None:
    if not site.policy.allow_non_private:
        raise PolicyError(
            "The study trains without privacy, which the site's policy does not allow.",
            where=f"{site.file}, [policy] allow_non_private",
            fix="Enable [privacy] in the study, or set allow_non_private = true here.",
        )


def _check_noisy(site: Site, study: Study) -> None:
    """The noise of statistics hides one unit of weight 1, so each unit must count once."""
    if study.evaluation.per != study.privacy.unit:
        raise PolicyError(
            f"The study counts every {study.evaluation.per} in its statistics but protects every {study.privacy.unit}, "
            "so that the site's noise would not hide one of them.",
            where=f"{site.file}, [policy] statistics",
            fix=f"Set [evaluation] per = '{study.privacy.unit}' in the study, or statistics = 'none' or 'exact' here.",
        )


def check_whole_cost(
    limits: PolicyLimits, charges: Iterable[Charge], planned: Sequence[Charge], *, where: str
) -> None:
    """Refuse a study that could not finish, before its first round spends anything.

    Args:
        limits: the site's.
        charges: what the site's patients have spent, on any study.
        planned: the whole of this study, of one population; what it has spent already is not counted twice.
        where: for the message.

    Raises:
        BudgetError: with what is spent, what the study needs and the limit.
    """
    limits.check_whole(charges, planned, where=where)
