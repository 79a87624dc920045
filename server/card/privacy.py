"""The chapter on privacy: what is promised to every patient whose data taught the model."""

from __future__ import annotations

from common.charts.numbers import MISSING, bound, fixed, tiny
from server.card.parts import Part
from server.report.facts import Fact
from server.report.run_folder import Run
from server.report.sites import largest


def privacy_part(run: Run) -> Part:
    """Return the chapter."""
    metrics, privacy = run.metrics, run.metrics.privacy
    if not privacy.enabled:
        return Part(
            "Privacy",
            sentences=(
                "The model was trained without differential privacy: it may hold traces of single patients, which an "
                "attacker with the weights could find. Treat the weights as patient data.",
            ),
        )
    epsilon = largest(metrics, lambda site: site.epsilon)
    delta = largest(metrics, lambda site: site.delta)
    promise = (
        f"Whether or not one {privacy.unit} took part changes the chance of any outcome of the training by a factor of "
        f"at most e to the power ε, up to δ; ε is at most {bound(epsilon)}. The promise holds whatever is done with "
        "the weights afterwards."
    )
    rehearsal = "Noise and sampling came from a fixed seed, as in rehearsals: whoever knows it can undo them."
    facts = (
        Fact("Unit of privacy", f"one {privacy.unit}, {privacy.adjacency}"),
        Fact("ε, at most", bound(epsilon)),
        Fact("δ", tiny(privacy.delta if delta is None else delta)),
        Fact("Mechanism", f"DP-SGD, clipped to {fixed(privacy.clip_norm, 2)}"),
        Fact("Accounting", "privacy loss distributions, from the events in each hospital's ledger"),
        Fact("Figures on test patients", privacy.statistics or MISSING),
    )
    return Part(
        "Privacy",
        sentences=(promise, rehearsal) if privacy.randomness == "fixed" else (promise,),
        facts=facts,
    )
