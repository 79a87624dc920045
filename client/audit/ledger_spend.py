"""What charges add up to: by study, by mechanism, by population; and what left without noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from client.guard.book import WHOLE_SITE, Charge, split_group
from client.guard.budget import sharing, spent, worst_cases
from common.privacy.accountants import Epsilons, epsilon, epsilon_pld
from common.privacy.events import GaussianEvent, UnprotectedEvent

NOTHING = Epsilons(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Steps:
    """All steps of one mechanism in a study; the unsettled ones are counted in `steps`, too."""

    role: str
    event: GaussianEvent
    steps: int
    unsettled_steps: int


@dataclass(frozen=True)
class Release:
    """What left without noise in a study, and how often."""

    study: str
    what: str
    releases: int


@dataclass(frozen=True)
class StudySpend:
    """What one study has cost the patient who spent most in it.

    Attributes:
        study, fingerprint: the study.
        rounds: how many different rounds were charged.
        events: its mechanisms.
        delta, epsilon: ε by three accountants at this δ.
        randomness: "system", "fixed" (simulation only) or "mixed".
        replaced: ε by PLD for replacing one patient, where that was asked for.
    """

    study: str
    fingerprint: str
    rounds: int
    events: tuple[Steps, ...]
    delta: float
    epsilon: Epsilons
    randomness: str
    replaced: float | None = None


@dataclass(frozen=True)
class PopulationSpend:
    """What the patients of a named part of the site have spent, the whole site's charges included."""

    name: str
    charges: int
    epsilon: float


def populations(charges: Sequence[Charge], delta: float | None) -> tuple[PopulationSpend, ...]:
    """What each named population has spent; nothing where all charges are to the whole site."""
    names = sorted({charge.population for charge in charges} - {WHOLE_SITE})
    mine = {name: sharing(charges, name) for name in names}
    return tuple(
        PopulationSpend(name, len(each), spent(each, delta) if delta else 0.0)
        for name, each in mine.items()
    )


def epsilons(charges: Iterable[Charge], delta: float) -> Epsilons:
    """ε of the patient who spent most, by each accountant."""
    each = [epsilon(events, delta) for events in worst_cases(charges)]
    if not each:
        return NOTHING
    notes = "; ".join(dict.fromkeys(one.prv_note for one in each if one.prv_note))
    known = [one.prv for one in each if one.prv is not None]
    return Epsilons(
        pld=max(one.pld for one in each),
        prv=max(known) if len(known) == len(each) else None,
        rdp=max(one.rdp for one in each),
        prv_note=notes,
    )


def replaced(charges: Iterable[Charge], delta: float) -> float:
    """ε by PLD for replacing the patient who spent most by another of the same group, training or held-out."""
    cases = worst_cases(charges)
    return max((epsilon_pld(each, delta, adjacency="replace-one") for each in cases), default=0.0)


def studies(
    charges: Sequence[Charge], delta: float | None, replace_one: bool = False
) -> tuple[StudySpend, ...]:
    """What each study has cost, at `delta` or else at its own."""
    by_study: dict[tuple[str, str], list[Charge]] = {}
    for charge in charges:
        by_study.setdefault((charge.study, charge.fingerprint), []).append(charge)
    return tuple(_study(mine, delta, replace_one) for mine in by_study.values())


def _study(mine: Sequence[Charge], delta: float | None, replace_one: bool) -> StudySpend:
    at = delta or min(charge.delta for charge in mine)
    origins = sorted({charge.randomness for charge in mine})
    return StudySpend(
        study=mine[0].study,
        fingerprint=mine[0].fingerprint,
        rounds=len({charge.round for charge in mine}),
        events=_merged(mine),
        delta=at,
        epsilon=epsilons(mine, at),
        randomness=origins[0] if len(origins) == 1 else "mixed",
        replaced=replaced(mine, at) if replace_one else None,
    )


def _merged(charges: Iterable[Charge]) -> tuple[Steps, ...]:
    steps: Counter[tuple[str, GaussianEvent]] = Counter()
    unsettled: Counter[tuple[str, GaussianEvent]] = Counter()
    for charge in charges:
        if isinstance(charge.event, GaussianEvent):
            key = (split_group(charge.group)[0], charge.event.with_steps(0))
            steps[key] += charge.event.steps
            unsettled[key] += 0 if charge.settled else charge.event.steps
    return tuple(Steps(*key, steps=steps[key], unsettled_steps=unsettled[key]) for key in steps)


def releases(charges: Iterable[Charge], *, declared_public: bool) -> tuple[Release, ...]:
    """What left without noise: as the site\'s policy declares public, or not."""
    counts: Counter[tuple[str, str]] = Counter()
    for charge in charges:
        event = charge.event
        if isinstance(event, UnprotectedEvent) and event.declared_public == declared_public:
            counts[charge.study, event.what] += event.releases
    return tuple(Release(*key, releases=count) for key, count in counts.items() if count)
