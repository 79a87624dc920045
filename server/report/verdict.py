"""The headline in words, the sentence under it, and what a reader must know before believing it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.charts.numbers import bound, count, fixed, tiny, upper, word
from common.charts.scale import finite
from server.report.learning import headline
from server.report.notes import REHEARSAL, Note
from server.report.run_folder import Run
from server.report.schema import RunMetrics
from server.report.sites import largest


@dataclass(frozen=True)
class Verdict:
    """The headline, in parts so that the page can set the figures apart."""

    who: str
    result: str
    before: str
    guarantee: str
    after: str

    def __str__(self) -> str:
        return f"{self.who}: {self.result}{self.before}{self.guarantee}{self.after}"


def verdict(metrics: RunMetrics) -> Verdict:
    """Who trained what together, how good it is, at what privacy."""
    number = len(metrics.sites)
    hospitals = f"{word(number).capitalize()} hospital{'' if number == 1 else 's'}"
    who = f"{hospitals} trained {metrics.study}{' together' if number > 1 else ''}"
    measure = headline(metrics)
    value = metrics.final.get(measure.key)
    result = (
        "no metric was released" if value is None else f"{measure.name} {measure.text(value, 2)}"
    )
    result = result.replace("Macro", "macro").replace("Accuracy", "accuracy")
    if not metrics.privacy.enabled:
        return Verdict(who, result, ", ", "without differential privacy", "")
    epsilon = largest(metrics, lambda site: site.epsilon)
    unit = _protected(metrics)
    if epsilon is None or math.isinf(epsilon):
        return Verdict(who, result, ", ", "with no finite ε", f" for every {unit}")
    return Verdict(who, result, " at ", f"ε ≤ {bound(epsilon)}", f" for every {unit}")


def _protected(metrics: RunMetrics) -> str:
    """Whom ε is about: exact statistics of the test patients are not covered by it."""
    unit = metrics.privacy.unit
    released = metrics.privacy.statistics or "exact"
    return f"training {unit}" if "exact" in released else unit


def over_budget(metrics: RunMetrics) -> bool:
    """Whether some site spent more than the study's ε."""
    target, spent = metrics.privacy.epsilon_target, largest(metrics, lambda site: site.epsilon)
    if not metrics.privacy.enabled or target is None or spent is None:
        return False
    return spent > target * (1 + 1e-9)


_DELTA = (
    "δ {} is at least 1/{:.0f}, one over the patients of the smallest hospital: a mechanism that "
    "publishes one patient whole may satisfy it."
)


def warnings(run: Run) -> list[Note]:
    """What a reader must know before believing the headline."""
    metrics, found = run.metrics, []
    if over_budget(metrics):
        target = fixed(metrics.privacy.epsilon_target, 2)
        spent = upper(largest(metrics, lambda site: site.epsilon))
        found.append(Note("Over the budget.", f"The study allows ε {target}; {spent} was spent."))
    if metrics.privacy.enabled and metrics.privacy.randomness == "fixed":
        found.append(Note("A rehearsal.", REHEARSAL))
    declared = finite(site.declared_patients for site in metrics.sites.values())
    delta = largest(metrics, lambda site: site.delta)
    if metrics.privacy.enabled and declared and delta is not None and delta >= 1 / min(declared):
        found.append(Note("δ is too large.", _DELTA.format(tiny(delta), min(declared))))
    failed = [record for record in run.rounds if record.failures]
    if failed:
        text = f"In {len(failed):,} of {len(run.rounds):,} rounds a hospital gave no usable answer;"
        found.append(Note("Some replies are missing.", f"{text} “Round by round” says which."))
    return found


def lede(metrics: RunMetrics) -> str:
    """One sentence under the verdict: the interval, the comparison, the test patients."""
    measure = headline(metrics)
    parts = []
    low, high = (metrics.final.get(f"{measure.key}_{end}") for end in ("low", "high"))
    if low is not None and high is not None:
        parts.append(f"95 % interval {fixed(low, 2)} to {fixed(high, 2)}")
    without = metrics.non_private.get(measure.key)
    if metrics.privacy.enabled and without is not None:
        parts.append(f"the same study without privacy reaches {measure.text(without, 2)}")
    tested = finite(site.test_patients for site in metrics.sites.values())
    if tested:
        parts.append(f"measured on {count(sum(tested))} patients that no training step saw")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
