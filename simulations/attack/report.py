"""An attack as a document for the terminal, for programs and for an ethics board."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from client.audit.document import Curve, Document, Plot, Table, Text, Verdict
from simulations.attack.alarm import FALSE_ALARM
from simulations.attack.audit import Audit
from simulations.attack.one_run import SIGNIFICANCE, Outcome

SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
BINS = 40


def document(audit: Audit) -> Document:
    """Return the document of an audit."""
    verdict: Verdict = "leaking" if audit.leaking else "sound"
    subject = audit.subject
    return Document(
        title=f"Attack on the study “{subject.study.name}” at {subject.site.name}",
        verdict=verdict,
        summary=_summary(audit),
        parts=(
            _bounds(audit.outcomes),
            _checks(audit),
            *(_scores(outcome) for outcome in audit.outcomes),
            _guesses(audit.outcomes[0]),
            _rules(audit),
            _reading(audit),
        ),
        data=_data(audit),
    )


def _summary(audit: Audit) -> str:
    strongest = audit.outcomes[0]
    figures = (
        f"The attack proves ε ≥ {_number(strongest.bound)} where ε = {_number(strongest.plan.epsilon)} is claimed "
        f"(δ = {strongest.plan.delta:g}, 95 % confidence, add or remove one {audit.subject.study.privacy.unit})"
    )
    if not audit.leaking:
        return f"{figures}, and all {len(audit.checks)} rules hold.{_doubt(audit)}"
    reasons = [f"broken: {', '.join(audit.broken)}"] if audit.broken else []
    reasons += [f"the claim is refuted ({o.setting})" for o in audit.outcomes if o.refuted]
    reasons += [f"an alarm ({o.setting})" for o in audit.outcomes if o.alarm and not o.refuted]
    return f"{figures}. The study does not keep its promise: {'; '.join(reasons)}."


def _doubt(audit: Audit) -> str:
    if not any(outcome.doubtful for outcome in audit.outcomes):
        return ""
    return (
        " A bound lies above the claim by chance, as for up to one honest study in twenty, and far from refuting it: "
        "repeat the attack with more canaries."
    )


def _bounds(outcomes: tuple[Outcome, ...]) -> Table:
    rows = tuple(_bound_row(outcome) for outcome in outcomes)
    columns = (
        "setting",
        "q",
        "σ",
        "steps",
        "claimed",
        "f-DP",
        "Steinke",
        "point",
        "right",
        "alarm",
    )
    return Table(
        "Canaries in one training run: ε by claim and by attack",
        columns,
        rows,
        note=(
            f"f-DP: lower bound on ε with {1 - SIGNIFICANCE:.0%} confidence, the certificate (Mahloujifar et al. 2024);"
            " Steinke: the bound of Steinke et al. 2023 beside it; point: what the Gaussian scores suggest, no proof; "
            "right: guesses about who was in. "
            f"An honest study raises an alarm with odds of {FALSE_ALARM:g}. Subsampling hides most canaries, so the "
            "strongest test has every patient in every step, with noise that costs the same ε."
        ),
    )


def _bound_row(outcome: Outcome) -> tuple[str, ...]:
    plan, found = outcome.plan, outcome.guessed
    return (
        outcome.setting,
        str(plan.sampling_rate),
        f"{plan.noise_multiplier:g}",
        str(plan.steps),
        _number(plan.epsilon),
        _number(outcome.bound),
        _number(outcome.steinke(found)),
        "–" if outcome.point_estimate is None else _number(outcome.point_estimate),
        f"{found.correct}/{found.guesses}",
        "yes" if outcome.leaking else "no",
    )


def _checks(audit: Audit) -> Table:
    rows = tuple(
        (check.name, "holds" if finding.passed else "BROKEN", finding.figures)
        for check, finding in audit.checks
    )
    return Table(
        "Rules",
        ("rule", "found", "figures"),
        rows,
        note="Each is tried on the code that trains, with the study's own task, model and patients. A rule that rests "
        f"on chance fails an honest study with odds of {FALSE_ALARM:g}.",
    )


def _rules(audit: Audit) -> Text:
    return Text(
        "What the rules say", tuple(f"{check.name}: {check.rule}" for check, _ in audit.checks)
    )


def _scores(outcome: Outcome) -> Plot:
    """Histograms of the scores of canaries that were in and out."""
    edges = np.linspace(outcome.scores.min(), outcome.scores.max() + 1e-9, BINS + 1)
    middles = tuple(float(x) for x in (edges[1:] + edges[:-1]) / 2)
    curves = tuple(
        Curve(label, middles, tuple(float(n) for n in np.histogram(chosen, edges)[0]), dashed)
        for label, chosen, dashed in (
            ("in", outcome.scores[outcome.inside], False),
            ("out", outcome.scores[~outcome.inside], True),
        )
    )
    return Plot(
        f"Scores, {outcome.setting}",
        "gain of a canary's coordinate (units of C)",
        "canaries",
        curves,
        note="The less the two overlap, the more is given away about who took part.",
    )


def _guesses(outcome: Outcome) -> Plot:
    """The bounds against the number of guesses."""
    numbers = [max(2, int(len(outcome.scores) * share)) for share in SHARES]
    found = [outcome.guess(number) for number in numbers]
    x = tuple(float(one.guesses) for one in found)
    claimed = (outcome.plan.epsilon,) * len(x)
    return Plot(
        "Bounds by number of guesses, full batches",
        "guesses",
        "ε",
        (
            Curve("f-DP", x, tuple(outcome.f_dp(one) for one in found)),
            Curve("Steinke", x, tuple(outcome.steinke(one) for one in found)),
            Curve("claimed", x, claimed, dashed=True),
        ),
        note="Only the number fixed beforehand is a certificate; the best of several would need a correction.",
    )


def _reading(audit: Audit) -> Text:
    seed = audit.subject.seed
    source = "the operating system" if seed is None else f"the seed {seed}, for repetition"
    return Text(
        "How to read this",
        (
            "A canary is a made-up patient who is in by the toss of a coin and whose gradient is one coordinate of its "
            "own. It is drawn, averaged, clipped, summed and noised by the code that does so with patients, through "
            "the site's agent and a ledger of its own. The attacker sees every round's weights.",
            "“Sound” means that this attack found nothing. A lower bound below the claim does not prove the claim: "
            "that is the accountant's part, and the rules above are what it takes for granted.",
            f"Coins, sampling and noise of the canaries came from {source}.",
        ),
    )


def _data(audit: Audit) -> dict[str, Any]:
    return {
        "study": audit.subject.study.name,
        "fingerprint": audit.subject.study.fingerprint,
        "site": audit.subject.site.name,
        "unit": audit.subject.study.privacy.unit,
        "adjacency": "add/remove",
        "seed": audit.subject.seed,
        "checks": [
            {"name": c.name, "rule": c.rule, "passed": f.passed, "figures": f.figures}
            for c, f in audit.checks
        ],
        "attacks": [_outcome(outcome) for outcome in audit.outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    plan, found = outcome.plan, outcome.guessed
    return {
        "setting": outcome.setting,
        "sampling_rate": str(plan.sampling_rate),
        "noise_multiplier": plan.noise_multiplier,
        "steps": plan.steps,
        "delta": plan.delta,
        "confidence": 1 - SIGNIFICANCE,
        "canaries": found.canaries,
        "guesses": found.guesses,
        "correct": found.correct,
        "epsilon": {
            "claimed": _json(plan.epsilon),
            "f_dp": _json(outcome.bound),
            "steinke": _json(outcome.steinke(found)),
            "point": None if outcome.point_estimate is None else _json(outcome.point_estimate),
        },
        "noise_share": outcome.moments.noise,
        "contribution_share": outcome.moments.share,
        "refuted": outcome.refuted,
        "alarm": outcome.alarm,
    }


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "∞"


def _json(value: float) -> float | str:
    return value if math.isfinite(value) else "inf"
