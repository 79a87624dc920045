"""The key figures as cards, and the two lists: method and provenance."""

from __future__ import annotations

from dataclasses import dataclass

from common.charts.numbers import (
    MISSING,
    bound,
    count,
    duration,
    fixed,
    moment,
    size,
    tiny,
    upper,
)
from server.report.learning import headline
from server.report.run_folder import Run
from server.report.schema import RunMetrics
from server.report.sites import largest, total
from server.report.verdict import over_budget


@dataclass(frozen=True)
class Card:
    """A key figure: its name, its value, what to hold it against."""

    name: str
    value: str
    detail: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Fact:
    """A line of a list. `code` is for what is compared character by character."""

    name: str
    value: str
    code: bool = False


def cards(run: Run) -> list[Card]:
    """Six figures, in order of interest."""
    metrics = run.metrics
    patients = total(metrics, lambda site: site.patients)
    train = total(metrics, lambda site: site.train_patients)
    test = total(metrics, lambda site: site.test_patients)
    quarantined = total(metrics, lambda site: site.quarantined)
    split = f"{count(train)} to learn,\n{count(test)} to test" if train or test else ""
    rounds = f"{metrics.rounds or len(run.rounds):,}"
    return [
        _metric_card(metrics),
        _privacy_card(metrics),
        Card("Patients", count(patients), split),
        Card(
            "Samples",
            count(total(metrics, lambda site: site.samples)),
            f"{count(quarantined)} quarantined" if quarantined is not None else "",
        ),
        Card("Sent", size(total(metrics, lambda site: site.bytes_sent)), "by all hospitals"),
        Card("Time", duration(metrics.seconds), f"{rounds} round{'' if rounds == '1' else 's'}"),
    ]


def _metric_card(metrics: RunMetrics) -> Card:
    measure = headline(metrics)
    without = metrics.non_private.get(measure.key)
    detail = f"{measure.text(without)}\nwithout privacy" if without is not None else ""
    if not detail and metrics.final.get("accuracy") is not None and measure.key == "auc":
        detail = f"accuracy {fixed(metrics.final['accuracy'])}"
    return Card(measure.name, measure.text(metrics.final.get(measure.key)), detail, "first")


def _privacy_card(metrics: RunMetrics) -> Card:
    if not metrics.privacy.enabled:
        return Card("Privacy ε", "none", "no differential privacy")
    epsilon = largest(metrics, lambda site: site.epsilon)
    target = metrics.privacy.epsilon_target
    delta = largest(metrics, lambda site: site.delta)
    parts = [
        f"of {upper(target, 1)} allowed" if target is not None else "",
        f"δ {tiny(metrics.privacy.delta if delta is None else delta)}",
    ]
    kind = "bad" if over_budget(metrics) else ""
    return Card("Privacy ε, at most", bound(epsilon), "\n".join(filter(None, parts)), kind)


def weights(learned: float | None, frozen: float | None) -> str:
    """How many weights a network has; where some never change, how many of each."""
    return f"{count(learned)} learned, {count(frozen)} frozen" if frozen else count(learned)


def method(run: Run) -> list[Fact]:
    """How it was trained and protected."""
    metrics, privacy = run.metrics, run.metrics.privacy
    facts = [
        Fact("Task", metrics.task),
        Fact("Algorithm", metrics.algorithm or MISSING),
        Fact("Model weights", weights(metrics.parameters, metrics.frozen)),
        Fact("Rounds", f"{metrics.rounds or len(run.rounds):,}"),
    ]
    if not privacy.enabled:
        return [*facts, Fact("Differential privacy", "off")]
    rate = f", each with probability {privacy.sampling_rate} a step"
    return [
        *facts,
        Fact("Unit of privacy", f"one {privacy.unit}"),
        Fact("Adjacency", f"{privacy.adjacency} one {privacy.unit}"),
        Fact("Sampler", f"{privacy.sampler}{rate if privacy.sampling_rate else ''}"),
        Fact("Mechanism", f"DP-SGD, gradients clipped to C = {fixed(privacy.clip_norm, 2)}"),
        Fact("Noise from", _RANDOMNESS.get(privacy.randomness, privacy.randomness)),
        Fact("Accounting", "privacy loss distributions (PLD), recomputed from the ledger’s events"),
        Fact("Budget", f"ε {fixed(privacy.epsilon_target, 2)}, δ {tiny(privacy.delta)}"),
        Fact("Test statistics", privacy.statistics or MISSING),
    ]


def provenance(run: Run) -> list[Fact]:
    """What was run, where and when: enough to run it again."""
    metrics = run.metrics
    versions = [
        Fact(name, text or MISSING, True) for name, text in sorted(metrics.versions.items())
    ]
    return [
        Fact("Study", metrics.study),
        Fact("Fingerprint", metrics.fingerprint or MISSING, True),
        Fact("Seed", MISSING if metrics.seed is None else str(metrics.seed), True),
        Fact("Started", moment(metrics.started)),
        Fact("Finished", moment(metrics.finished)),
        Fact("Device", metrics.device or MISSING),
        Fact("Engine", metrics.engine or MISSING),
        *versions,
    ]


_RANDOMNESS = {
    "fixed": "a fixed seed (rehearsal only)",
    "sites": "each hospital’s own generator; its ledger says which",
    "system": "the operating system’s generator",
}
