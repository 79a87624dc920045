"""Who can be used for the study: patients and samples by class and split, labels, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from client.doctor.findings import Finding, Patient, amber, green, red
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
ROWS = {
    "no patient id": "Fill the column in: a row that belongs to nobody cannot be protected.",
    "no target": "A row without an outcome cannot be used. See whether it is missing in your system, too.",
    "impossible": "Compare the unit with the study's, and look for codes that mean missing (-1, 999).",
    "file: ": "Another kind of file lies among the data, or its header differs: see the list of names.",
}
"""What to do about rows, by the start of the reason; of files the quarantine's own page knows."""
SHOWN = 6


def check(patient: Patient) -> Iterator[Finding]:
    """Prepare the cohort and count."""
    look = patient.look
    if look is None or look.hopeless:
        return
    name, _ = look.dataset(patient.site)
    cohort = look.prepare(patient.site, patient.folder)
    yield from _size(cohort, patient.site.policy.min_patients)
    yield from _classes(cohort, look.classes)
    yield from _left_out(cohort.quarantine, name)
    for note in cohort.notes:
        yield amber(note, _fix(note, name))


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


def _classes(cohort: Cohort, classes: tuple[str, ...]) -> Iterator[Finding]:
    """Count patients (those with at least one sample of a class) and samples."""
    import numpy as np

    if not classes or cohort.targets.ndim != 1:
        return
    test = cohort.is_test[cohort.patient]
    trained = 0
    for number, name in enumerate(classes):
        mine = cohort.targets == number
        counts = [
            f"{len(np.unique(cohort.patient[mine & role])):,} patients ({int((mine & role).sum()):,} samples) {word}"
            for role, word in ((~test, "train"), (test, "held out"))
        ]
        trained += bool((mine & ~test).any())
        text = f"class '{name}': {', '.join(counts)}"
        if (mine & ~test).any() and (mine & test).any():
            yield green(text)
        else:
            yield amber(text, "A class that is absent from a split is neither learned nor judged.")
    if trained < 2:
        yield red(
            "All training patients are of one class: there is nothing to tell apart.",
            "See that the labels are complete and that `replace` in site.toml maps them as meant.",
            kind=DataError,
        )


def _left_out(quarantine: Quarantine, name: str) -> Iterator[Finding]:
    from client.data.quarantine_page import advice

    ordered = sorted(quarantine.counts.items(), key=lambda item: (-item[1], item[0]))
    for reason, count in ordered[:SHOWN]:
        text = f"left out: {count:,} × {reason}"
        own = (fix for start, fix in ROWS.items() if reason.startswith(start))
        yield green(text) if reason in HARMLESS else amber(text, next(own, "") or advice(reason))
    if len(ordered) > SHOWN:
        yield amber(f"left out for {len(ordered) - SHOWN} other reasons, too.")
    if ordered:
        yield green(f"names of what was left out: .consilium/quarantine-{name}.html")


def _fix(note: str, name: str) -> str:
    """Say what can be done about a note of the cohort."""
    fixes = {
        "no usable images": "Compare the identifiers of labels and images: leading zeros are lost in spreadsheets.",
        "declared_patients": f"Correct [data.{name}] declared_patients; noise and weight follow from it.",
        "check the unit": f"Compare the unit with the study's; state yours in [data.{name}] units or scale.",
        "impossible": "Compare the unit with the study's, and look for codes that mean missing (-1, 999).",
        "missing in every row": f"Map the column, or list it under [data.{name}] absent.",
        "in no category": f"Map the words with [data.{name}] replace.",
        "no numbers": f"State the words that mean missing in [data.{name}] missing, or the decimal mark.",
    }
    return next((fix for words, fix in fixes.items() if words in note), "")
