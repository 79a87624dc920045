"""Does the study fit the site: its data set, its policy, and what is left of its budget?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, amber, green, of_error
from common.errors import ConsiliumError


def check(patient: Patient) -> Iterator[Finding]:
    """Ask the policy, and count what the whole study would cost."""
    if patient.look is None:
        return
    from client.admission import admit

    study = patient.look.study
    try:
        name, _ = patient.look.dataset(patient.site)
    except ConsiliumError:
        patient.look.hopeless = True
        raise
    yield green(f"study '{study.name}' reads data set '{name}'")
    try:
        admit(patient.site, study)
    except ConsiliumError as error:
        yield of_error(error)
    if not study.privacy.enabled:
        yield amber("The study trains without noise: no ε bounds what it may tell of a patient.")
        return
    yield from _budget(patient)


def _budget(patient: Patient) -> Iterator[Finding]:
    from client.admission import check_whole_cost
    from client.audit.plan import cost_of, read_ledger
    from client.limits import PolicyLimits

    assert patient.look is not None
    site, study, ledger = patient.site, patient.look.study, patient.folder.ledger
    declared = site.dataset(study.data).declared_patients
    book = read_ledger(ledger) if ledger.exists() else None
    cost = cost_of(study, declared, site=site, book=book)
    mine = [each for each in cost.charges() if each.fingerprint == study.fingerprint]
    limits = PolicyLimits.of(site.policy, cost.population)
    try:
        check_whole_cost(limits, cost.others, mine, where=f"{site.file}, [policy]")
    except ConsiliumError as error:
        yield of_error(error)
        return
    after = cost.spent()
    left = math.inf if cost.budget is None else cost.budget.max_epsilon - after
    yield green(
        f"the study costs ε = {cost.plan.epsilon:.3g}; with it {after:.3g} are spent and {left:.3g} are left "
        f"(δ = {cost.delta:g})"
    )
