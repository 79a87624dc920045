"""site.toml: what it allows, and whether that makes sense."""

from __future__ import annotations

from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, amber, green, red
from common.errors import StudyError

_LOOSE = 10.0


def check(patient: Patient) -> Iterator[Finding]:
    """Look at policy and connections."""
    site, policy = patient.site, patient.site.policy
    yield green(f"site '{site.name}'; data sets: {', '.join(sorted(site.datasets))}")
    if policy.allow_non_private:
        yield amber(
            "The policy lets studies train without noise.",
            "For real patients set [policy] allow_non_private = false.",
        )
    if policy.statistics == "exact":
        yield amber(
            "Exact statistics of held-out patients may leave.",
            'Set [policy] statistics = "noisy", unless these numbers are public anyway.',
        )
    if policy.max_epsilon > _LOOSE:
        yield amber(
            f"A privacy budget of ε = {policy.max_epsilon:g} protects little.",
            "Set [policy] max_epsilon to 1, or to what your privacy officer agreed.",
        )
    least = min(config.declared_patients for config in site.datasets.values())
    if policy.delta >= 1 / least:
        yield red(
            f"δ = {policy.delta:g} is not below one in the {least} declared patients.",
            f"Set [policy] delta to {0.1 / least:.1g} or less.",
            kind=StudyError,
        )
    if not site.connections:
        yield red(
            "The site knows no coordinator.",
            "Add a table [connection.coordinator] with server = 'host:port'.",
            kind=StudyError,
        )
