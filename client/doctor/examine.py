"""Runs the doctor's checks, in the order in which one depends on another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.checks import (
    data,
    enrolment,
    keys,
    ledger,
    machine,
    network,
    ports,
    settings,
    supernode,
)
from client.doctor.data import (
    cache,
    cohort,
    columns,
    decoders,
    fit,
    images,
    memory,
    patients,
    repeats,
    units,
)
from client.doctor.findings import Finding, Level, Patient, of_error, red
from client.service.start import Half
from client.site import load_site
from client.site_folder import SiteFolder
from common.errors import ConsiliumError

if TYPE_CHECKING:
    from client.doctor.data.look import StudyLook

Check = Callable[[Patient], Iterable[Finding]]

CHECKS: Mapping[str, Check] = {
    "settings": settings.check,
    "keys": keys.check,
    "network": network.check,
    "enrolment": enrolment.check,
    "supernode": supernode.check,
    "ports": ports.check,
    "machine": machine.check,
    "data": data.check,
    "patients": patients.check,
    "decoders": decoders.check,
    "cache": cache.check,
    "ledger": ledger.check,
    "study": fit.check,
    "columns": columns.check,
    "units": units.check,
    "cohort": cohort.check,
    "repeats": repeats.check,
    "images": images.check,
    "memory": memory.check,
}
"""What is looked at, by the heading under which it is shown; from `study` on only when there is one."""

DATA: frozenset[str] = frozenset(
    {
        "data",
        "patients",
        "decoders",
        "study",
        "columns",
        "units",
        "cohort",
        "repeats",
        "images",
        "memory",
    }
)
"""What is about the data alone: of use before there is a site that could start."""

LEFT_OUT: Mapping[Half | None, frozenset[str]] = {
    None: frozenset({"supernode"}),  # on one machine it need not run yet
    Half.SUPERNODE: DATA | {"supernode", "cache", "ledger"},
    Half.AGENT: frozenset({"network", "enrolment"}),  # it may not reach the coordinator
}
"""What does not concern a machine that runs one half of a site, or both."""


def examine(
    path: Path,
    checks: Mapping[str, Check] = CHECKS,
    *,
    half: Half | None = None,
    look: StudyLook | None = None,
) -> Iterator[tuple[str, Finding]]:
    """Look at a site; yields findings with their headings as they come.

    A check that fails is a red line of its own: the others still look. With `look` the data are read, too, as its
    study would read them.
    """
    try:
        site = load_site(path)
    except ConsiliumError as error:
        yield "settings", of_error(error)
        return
    patient = Patient(site, SiteFolder(site.folder), half, look)
    for heading, check in checks.items():
        if heading in LEFT_OUT[half]:
            continue
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
