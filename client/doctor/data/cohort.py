"""Who can be used for the study: patients and samples by class and split, labels, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from client.doctor.data import notes, targets
from client.doctor.data.look import secret_of
from client.doctor.findings import Finding, Patient, amber, green, red
from client.doctor.site_file import section
from common.errors import DataError

if TYPE_CHECKING:
    from client.data.cohort import Cohort
    from client.data.quarantine import Quarantine

HARMLESS = (
    "duplicate",
    "wrong modality",
    "localizer image",
    "not DICOM",
    "reading without a value",
)
"""Reasons that nobody needs to do anything about."""
OF_UNITS = ("impossible value", "impossible change")
"""Reasons that follow from a wrong unit, which was said before."""
NEEDS_DCMTK = "needs DCMTK"
SHOWN = 6


def check(patient: Patient) -> Iterator[Finding]:
    """Prepare the cohort and count."""
    look = patient.look
    if look is None or look.hopeless:
        return
    name, config = look.dataset(patient.site)
    cohort = look.prepare(patient.site, patient.folder)
    yield from _size(cohort, patient.site.policy.min_patients)
    if cohort.split_id != "declared" and secret_of(patient.folder) is None:
        yield amber(
            "Who is held out is drawn with a stand-in for the site's secret: the counts by split are examples.",
            "Nothing to mend: 'consilium site init' makes the secret, and with it the split that counts.",
        )
    yield from targets.check(cohort, look.spec, look.classes)
    yield from _left_out(cohort.quarantine, name, config.kind, doubted=bool(look.doubted))
    yield from notes.findings(cohort.notes, look.doubted, section(patient.site, name))


def _size(cohort: Cohort, least: int) -> Iterator[Finding]:
    drawn = "as the site declares" if cohort.split_id == "declared" else "drawn for each by itself"
    yield green(
        f"{cohort.patients:,} patients with {cohort.samples:,} samples: {cohort.train_patients:,} train, "
        f"{cohort.test_patients:,} are held out ({drawn}); nobody is in both"
    )
    if cohort.train_patients < least:
        yield red(
            f"{cohort.train_patients} patients train; the policy asks for {least} at least.",
            "Add patients, or lower [policy] min_patients if your privacy officer agrees.",
            kind=DataError,
        )
    if not cohort.test_patients:
        yield amber(
            "No patient is held out: this site cannot evaluate the model.",
            "Raise [data] test_fraction in the study, or mark test patients where the site declares the split.",
        )


def _left_out(quarantine: Quarantine, name: str, kind: str, *, doubted: bool) -> Iterator[Finding]:
    from client.data.quarantine_advice import advice

    counts = _by_fault(quarantine.counts)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for reason, count in ordered[:SHOWN]:
        text = f"left out: {count:,} × {reason}"
        said = reason in HARMLESS or (doubted and reason in OF_UNITS)
        yield green(text) if said else amber(text, advice(reason, kind))
    if len(ordered) > SHOWN:
        yield amber(f"left out for {len(ordered) - SHOWN} other reasons, too.")
    if ordered:
        yield green(f"names of what was left out: .consilium/quarantine-{name}.html")


def _by_fault(counts: Mapping[str, int]) -> dict[str, int]:
    """Count what lacks DCMTK once, whatever the encoding: one package mends it."""
    found = Counter[str]()
    for reason, count in counts.items():
        fault = reason.partition(":")[0] if reason.startswith(NEEDS_DCMTK) else reason
        found[fault] += count
    return found
