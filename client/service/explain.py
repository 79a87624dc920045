"""A study in plain words, for whoever decides: which patients, what leaves, what it costs, what the policy says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.audit.legible import harmless
from client.service.studies import Difference, Studies, StudyRecord, differences
from client.status import SiteStatus
from common.errors import ConsiliumError

if TYPE_CHECKING:
    from client.audit.plan import StudyCost
    from client.site import Site
    from common.study import Study

FINGERPRINT_SHOWN = 16


@dataclass(frozen=True)
class Section:
    """Some lines under a heading."""

    title: str
    lines: tuple[str, ...]


def explain(studies: Studies, record: StudyRecord) -> list[Section]:
    """Return everything that somebody should know before deciding about a study."""
    site, study = studies.site, record.study
    before = studies.approved_before(record) if record.standing == "changed" else None
    sections = [Section(f"Study '{study.name}'", tuple(_header(record)))]
    if before is not None:
        sections.append(_changes(differences(before, study)))
    sections += [
        Section("What is trained, on which patients", tuple(_patients(studies, study))),
        Section("What leaves the hospital", tuple(_leaves(site, study))),
        Section("What it costs the patients", tuple(_cost(studies, study))),
        Section("What the site's policy says", tuple(_policy(studies, study))),
    ]
    return sections


def as_text(sections: Sequence[Section]) -> str:
    """Return sections as text; what a coordinator wrote cannot steer a terminal."""
    blocks = ["\n".join([each.title, *(f"  {line}" for line in each.lines)]) for each in sections]
    return harmless("\n\n".join(blocks))


def _header(record: StudyRecord) -> Iterator[str]:
    study = record.study
    if study.study.title:
        yield study.study.title
    if study.study.description:
        yield " ".join(study.study.description.split())[:600]
    source = f"connection '{record.connection}'" if record.connection else "a file"
    yield f"Came from {source}; it is {_standing(record)}."
    yield f"Fingerprint {study.fingerprint[:FINGERPRINT_SHOWN]}, bundle {record.bundle[:FINGERPRINT_SHOWN]}."


def _standing(record: StudyRecord) -> str:
    if record.standing == "changed":
        return "not approved, and differs from the approved study of the same name"
    who = f" (by {record.by}, {record.at[:16].replace('T', ' ')} UTC)" if record.by else ""
    return {"pending": "not approved yet"}.get(record.standing, record.standing) + who


def _changes(found: Sequence[Difference]) -> Section:
    lines = tuple(f"{each.key}: {each.old} → {each.new}" for each in found)
    return Section("What changed since the approved study of this name", lines)


def _patients(studies: Studies, study: Study) -> Iterator[str]:
    site = studies.site
    yield f"A model '{study.model.name}' for the task '{study.task.name}', over {study.federation.rounds} rounds."
    name = site.dataset_name(study.data)
    dataset = site.datasets[name]
    population = site.population(study.data)
    whose = f"population '{population}'" if population else "the whole site"
    yield f"Data set '{name}' ({dataset.kind}): {dataset.declared_patients:,} patients declared; {whose} pays."
    status = SiteStatus.read(studies.folder.states / study.fingerprint)
    if status is None:
        yield "The patients are counted when the data are first read, for the first round."
        return
    yield (
        f"Counted: {status.patients:,} patients, {status.train_patients:,} to train on and {status.test_patients:,} "
        f"held out for evaluation; {status.samples:,} samples; {status.quarantined:,} left out."
    )


def _leaves(site: Site, study: Study) -> Iterator[str]:
    from client.guard.egress import WIDTH
    from client.training.workspace import Workspace

    space = Workspace(study)
    layout, wire = space.layout, study.federation.wire
    yield (
        f"Each round: {len(layout.entries):,} tensors of the model, {layout.size:,} numbers "
        f"({layout.size * WIDTH[wire]:,} bytes, {wire}), and the site's name, declared patients and ledger head."
    )
    statistics = _statistics(site, study)
    if statistics == "none":
        yield "No statistics of held-out patients leave: the site's policy keeps them."
        return
    listed = ", ".join(
        f"{name} ({'×'.join(map(str, shape)) or '1'})"
        for name, shape in space.task.tally_layout.items()
    )
    how = "with noise" if statistics == "noisy" else "exactly, without noise"
    yield f"Statistics of held-out patients, {how}, every {study.evaluation.every} round(s): {listed}."
    yield "Nothing else leaves; the egress log lists every reply."


def _statistics(site: Site, study: Study) -> str:
    chosen = site.policy.statistics
    return "exact" if chosen == "noisy" and not study.privacy.enabled else chosen


def _cost(studies: Studies, study: Study) -> Iterator[str]:
    if not study.privacy.enabled:
        yield "The study trains WITHOUT privacy: no ε bounds what the model may tell about a patient."
        return
    cost = _study_cost(studies, study)
    plan = cost.plan
    yield (
        f"This study: ε = {plan.epsilon:.3g} at δ = {plan.delta:g} for a {study.privacy.unit} who is trained on "
        f"(noise σ = {plan.noise_multiplier:.3g}, clipping at {plan.clip_norm:g}, {plan.steps:,} steps)."
    )
    if cost.noisy_statistics:
        yield f"For a {study.privacy.unit} who is held out: ε = {plan.evaluation_epsilon:.3g}."
    before, after = cost.spent(0), cost.spent()
    names = ", ".join(dict.fromkeys(each.study for each in cost.others)) or "none"
    yield f"Studies before it with the same patients: {names}; they cost ε = {before:.3g} at δ = {cost.delta:g}."
    yield f"All together, this study included: ε = {after:.3g} at δ = {cost.delta:g}."
    if cost.budget is not None:
        left = cost.budget.max_epsilon - after
        word = f"leaves {left:.3g}" if left >= 0 else f"is {-left:.3g} too much"
        yield f"The site allows ε = {cost.budget.max_epsilon:.3g}; that {word}."


def _study_cost(studies: Studies, study: Study) -> StudyCost:
    from client.audit.plan import cost_of, read_ledger

    site = studies.site
    patients = site.dataset(study.data).declared_patients
    return cost_of(study, patients, site=site, book=read_ledger(studies.folder.ledger))


def _policy(studies: Studies, study: Study) -> Iterator[str]:
    problems = list(objections(studies, study))
    if not problems:
        yield "It allows the study."
    for each in problems:
        yield f"It does NOT allow it: {each.what} [{each.where}]"
    policy = studies.site.policy
    yield f"At least {policy.min_patients} training patients must be found, or the site does not take part."
    if policy.hours is not None:
        yield f"Rounds train between {policy.hours.replace('-', ' and ')} only, in local time."


def objections(studies: Studies, study: Study) -> Iterator[ConsiliumError]:
    """Return what the policy has against a study, as far as that is known before the data are read."""
    from client.admission import admit, check_whole_cost
    from client.guard.egress import Declared
    from client.limits import PolicyLimits
    from client.training.workspace import Workspace

    site, where = studies.site, f"{studies.site.file}, [policy]"

    def size() -> None:
        layout, wire = Workspace(study).layout, study.federation.wire
        declared = Declared(layout, {}, wire, site.policy.max_bytes_per_round)
        declared.check_size(weights=True, statistics=False)

    def whole() -> None:
        if study.privacy.enabled:
            cost = _study_cost(studies, study)
            limits = PolicyLimits.of(site.policy, cost.population)
            planned = [each for each in cost.charges() if each.fingerprint == study.fingerprint]
            check_whole_cost(limits, studies.ledger.charges(), planned, where=where)

    for check in (lambda: admit(site, study), size, whole):
        try:
            check()
        except ConsiliumError as error:
            yield error
