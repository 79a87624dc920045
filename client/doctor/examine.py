"""Runs the doctor's checks, in the order in which one depends on another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from client.doctor.checks import data, enrolment, keys, ledger, machine, network, settings
from client.doctor.findings import Finding, Level, Patient, of_error, red
from client.site import load_site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError

Check = Callable[[Patient], Iterable[Finding]]

CHECKS: Mapping[str, Check] = {
    "settings": settings.check,
    "keys": keys.check,
    "network": network.check,
    "enrolment": enrolment.check,
    "machine": machine.check,
    "data": data.check,
    "ledger": ledger.check,
}
"""What is looked at, by the heading under which it is shown."""


def examine(path: Path, checks: Mapping[str, Check] = CHECKS) -> Iterator[tuple[str, Finding]]:
    """Look at a site; yields findings with their headings as they come.

    A check that fails is a red line of its own: the others still look.
    """
    try:
        site = load_site(path)
    except ConsiliumError as error:
        yield "settings", of_error(error)
        return
    patient = Patient(site, SiteFolder(site.folder))
    for heading, check in checks.items():
        try:
            for finding in check(patient):
                yield heading, finding
        except ConsiliumError as error:
            yield heading, of_error(error)
        except Exception as error:  # its text may hold anything, so only its kind is shown
            yield (
                heading,
                red(
                    f"This could not be looked at ({type(error).__name__}).",
                    "Run the doctor as the user who runs the site; if it stays, report it.",
                ),
            )


def exit_code(findings: Iterable[Finding]) -> int:
    """Return the class of the first red line; 0 when there is none."""
    return next((each.exit_code for each in findings if each.level is Level.RED), 0)
