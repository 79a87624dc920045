"""Whether a site's policy lets a study in at all, before any data are read."""

from __future__ import annotations

from client.site import Site
from common.errors import BudgetError, PolicyError
from common.privacy.plan import plan_site
from common.study import Study


def admit(site: Site, study: Study) -> None:
    """Refuse a study that the policy rules out, or that could never finish within the budget.

    Raises:
        PolicyError: the policy forbids the task, the model, training without privacy, or the study's δ.
        BudgetError: the study alone costs more than the whole budget.
    """
    _check_list("task", study.task.name, site.policy.allowed_tasks, site)
    _check_list("model", study.model.name, site.policy.allowed_models, site)
    if not study.privacy.enabled:
        _check_non_private(site)
        return
    _check_cost(site, study)


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


def _check_cost(site: Site, study: Study) -> None:
    plan = plan_site(study, site.dataset(study.data).declared_patients)
    if plan.epsilon > site.policy.max_epsilon:
        raise BudgetError(
            f"The study costs a training patient ε = {plan.epsilon:.3g}; "
            f"the site allows {site.policy.max_epsilon:.3g}.",
            where=f"{site.file}, [policy] max_epsilon",
            fix="Lower [privacy] epsilon or the rounds in the study, or raise the site's limit.",
        )
