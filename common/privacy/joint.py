"""ε for a patient known to several hospitals of a study, or of several.

What two hospitals learned from the same patient composes like two studies on one data set; adding their ε would be
sound and needlessly high. For k of many hospitals the worst choice counts; it need not be the k that spent most alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from common.errors import StudyError
from common.privacy.accountants import (
    PROGRESS_INTERVAL,
    epsilon_pld,
    poisson_parts,
    segments,
    unprotected,
)
from common.privacy.distributions import worst_of
from common.privacy.events import Event, Segment

_MOST_CHOICES = 100  # compared on the coarse grid, some 20 ms each
_BOUND_INTERVAL = 4 * PROGRESS_INTERVAL  # a bound over all choices is loose by more
_CLOSE = 0.01  # choices within so much of the worst are settled on the grid of record

Segments = tuple[Segment, ...]


@dataclass(frozen=True)
class Joint:
    """ε for a patient whom the k worst of the hospitals know.

    Attributes:
        hospitals: k.
        epsilon: by PLD, add/remove one patient everywhere.
        worst: which hospitals, by their place in what was given; empty where a bound over all choices was taken.
    """

    hospitals: int
    epsilon: float
    worst: tuple[int, ...]


def joint_epsilon(
    per_hospital: Sequence[Sequence[Event]],
    delta: float,
    hospitals: int = 2,
    *,
    always: Sequence[Event] = (),
) -> Joint:
    """Largest ε at `delta` over all choices of so many hospitals, each choice composed exactly.

    A hospital with at most as many steps as another, at a lower or equal q and a higher or equal σ, is not chosen
    before that other. Where too many choices remain, every hospital is replaced by one whose divergence at every ε is
    the largest of any hospital's, which can only raise the figure.

    Args:
        per_hospital: what one patient may have been in at each hospital.
        delta: δ in (0, 1), of the joint figure.
        hospitals: k, at least 1 and at most as many as there are.
        always: what every choice composes with.

    Raises:
        StudyError: k or δ is out of range.
    """
    if not 1 <= hospitals <= len(per_hospital):
        raise StudyError(
            f"Expected 1 … {len(per_hospital)} hospitals, not {hospitals}.", where="hospitals"
        )
    if unprotected(always):
        return Joint(hospitals, math.inf, ())
    bare = [place for place, events in enumerate(per_hospital) if unprotected(events)]
    if bare:
        return Joint(hospitals, math.inf, (bare[0],))
    parts = [segments(events) for events in per_hospital]
    candidates = _candidates(parts, _distinct(parts, hospitals), hospitals)
    choices = _choices(parts, candidates, hospitals)
    if choices is None:
        chosen = [per_hospital[place] for place in candidates]
        known = hospitals + bool(always)
        return Joint(hospitals, _bound([*chosen, always], delta, known), ())
    quick = {
        choice: epsilon_pld([*always, *_together(per_hospital, choice)], delta, PROGRESS_INTERVAL)
        for choice in choices
    }
    top = max(quick.values())
    close = [choice for choice, value in quick.items() if value >= top * (1 - _CLOSE)]
    exact = {
        choice: epsilon_pld([*always, *_together(per_hospital, choice)], delta) for choice in close
    }
    worst = max(exact, key=lambda choice: exact[choice])
    return Joint(hospitals, exact[worst], worst)


def _together(per_hospital: Sequence[Sequence[Event]], choice: Sequence[int]) -> list[Event]:
    return [event for place in choice for event in per_hospital[place]]


def _distinct(parts: Sequence[Segments], wanted: int) -> list[int]:
    """Of equal hospitals, only as many as a choice has room for."""
    seen: Counter[Segments] = Counter()
    kept = []
    for place, one in enumerate(parts):
        seen[one] += 1
        if seen[one] <= wanted:
            kept.append(place)
    return kept


def _candidates(parts: Sequence[Segments], places: Sequence[int], wanted: int) -> list[int]:
    """The hospitals that fewer than `wanted` others come before."""
    return [p for p in places if sum(_before(parts, other, p) for other in places) < wanted]


def _choices(
    parts: Sequence[Segments], candidates: Sequence[int], wanted: int
) -> list[tuple[int, ...]] | None:
    """The choices that may be worst, or None if there are too many of them."""
    if math.comb(len(candidates), wanted) > 50 * _MOST_CHOICES:
        return None
    found = list(_closed(parts, candidates, wanted))
    return found if len(found) <= _MOST_CHOICES else None


def _closed(
    parts: Sequence[Segments], candidates: Sequence[int], wanted: int
) -> Iterator[tuple[int, ...]]:
    """Choices that hold, with every hospital, all that come before it."""
    before = {
        place: {other for other in candidates if _before(parts, other, place)}
        for place in candidates
    }
    for choice in combinations(candidates, wanted):
        if all(before[place] <= set(choice) for place in choice):
            yield choice


def _before(parts: Sequence[Segments], other: int, place: int) -> bool:
    """Whether a choice with `place` but without `other` cannot be worse than the one that swaps them."""
    if other == place or not _covers(parts[other], parts[place]):
        return False
    return other < place or not _covers(parts[place], parts[other])


def _covers(strong: Segments, weak: Segments) -> bool:
    """Whether each segment of `weak` has one of its own in `strong` with as high a q, as low a σ and as many steps."""
    left = list(strong)
    for q, sigma, steps in weak:
        match = next((s for s in left if s[0] >= q and s[1] <= sigma and s[2] >= steps), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _bound(per_hospital: Sequence[Sequence[Event]], delta: float, wanted: int) -> float:
    """The k-fold composition of a mechanism that at every ε is as strong as the strongest of all hospitals."""
    different = dict.fromkeys(poisson_parts(events) for events in per_hospital)
    worst = worst_of([parts for parts in different if parts], wanted, _BOUND_INTERVAL)
    return math.inf if worst is None else float(worst.get_epsilon_for_delta(delta))
