"""Whether a site's policy lets a study in at all, before any data are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from client.guard.book import Charge
from client.guard.budget import Budget, sharing, spent
from client.site import Site
from common.errors import BudgetError, PolicyError
from common.study import Study


def admit(site: Site, study: Study) -> None:
    """Refuse a study that the policy rules out.

    Raises:
        PolicyError: the policy forbids the task, the model, or training without privacy.
    """
    _check_list("task", study.task.name, site.policy.allowed_tasks, site)
    _check_list("model", study.model.name, site.policy.allowed_models, site)
    if not study.privacy.enabled:
        _check_non_private(site)
    elif site.policy.statistics == "noisy":
        _check_noisy(site, study)


def _check_list(what: str, name: str, allowed: tuple[str, ...] | None, site: Site) -> None:
    if allowed is not None and name not in allowed:
        raise PolicyError(
            f"The site's policy does not allow the {what} '{name}'.",
            where=f"{site.file}, [policy] allowed_{what}s",
            fix=f"It allows: {', '.join(allowed) or 'none'}.",
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
    budget: Budget, charges: Iterable[Charge], planned: Sequence[Charge], *, where: str
) -> None:
    """Refuse a study that could not finish, before its first round spends anything.

    Args:
        budget: the site's limit, at the site's δ.
        charges: what the site's patients have spent, on any study; other populations' charges are left out.
        planned: the whole of this study, of one population; what it has spent already is not counted twice.
        where: for the message.

    Raises:
        BudgetError: with what is spent, what the study needs and the limit.
    """
    mine = {charge.fingerprint for charge in planned}
    touched = sharing(charges, planned[0].population)
    others = [charge for charge in touched if charge.fingerprint not in mine]
    whole = spent([*others, *planned], budget.delta)
    if not budget.exceeded_by(whole):
        return
    before = spent(others, budget.delta)
    raise BudgetError(
        f"The whole study does not fit the budget: ε = {before:.4g} spent on other studies, {whole:.4g} with this one, "
        f"{budget.max_epsilon:.4g} allowed at δ = {budget.delta:g} (add/remove one patient).",
        where=where,
        fix="Lower [privacy] epsilon or the rounds in the study, or let the site change max_epsilon or delta.",
    )
