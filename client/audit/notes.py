"""What every audit report says about itself: how to read ε, which figure counts, what a verdict is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client.audit.document import Verdict

ADJACENCY = "add/remove one patient"

MEANINGS: Mapping[Verdict, str] = {
    "sound": "The audit found nothing that contradicts the record or the claim.",
    "nothing to look for": "There was nothing that could have been found, so that the audit says nothing.",
    "over budget": "More privacy is spent, or would be, than is allowed or claimed.",
    "tampered": "The record does not hold together: what it says proves nothing.",
    "leaking": "More leaves about a patient than is claimed.",
}


@dataclass(frozen=True)
class Note:
    """A heading and a paragraph."""

    title: str
    text: str


def notes(adjacency: str) -> tuple[Note, ...]:
    """The notes of every report, for figures of that adjacency."""
    return (
        Note("What ε and δ say", _EPSILON),
        Note("Which change is hidden", _adjacency_note(adjacency)),
        Note("Which figure counts", _RECORD),
        Note("What a verdict is", _VERDICT),
    )


def _adjacency_note(adjacency: str) -> str:
    text = f"Figures are for this change of the data: {adjacency}, unless a line says otherwise."
    if "add" not in adjacency:
        return text
    return f"{text} {_REPLACE}"


_EPSILON = (
    "ε limits how much anything that was released can depend on one patient. Someone who sees all of it, and whatever "
    "else there is to know, can raise the odds that a given patient took part by at most a factor e^ε, up to a failure "
    "probability δ. Smaller is stronger. It says nothing about what a model teaches on patients in general."
)
_REPLACE = (
    "Replacing a patient by another is a removal and an addition: its ε is larger, and at the same δ it may be more "
    "than twice as large. Compare figures only when they state the same adjacency, unit and δ."
)
_RECORD = (
    "The figure of record is ε by privacy loss distributions (PLD), rounded so that it is never below the exact value "
    "for the mechanisms that are listed. PRV (privacy random variables) and RDP (Rényi) are computed independently, as "
    "checks. PRV includes its own error allowance and is left out where it would need too large a grid; RDP is a "
    "looser bound, so it is usually larger."
)
_VERDICT = (
    "“Sound” means that this audit found no contradiction; it does not prove that there is none. The audits complete "
    "each other: the ledger’s chain shows changes, a witnessed head shows what was cut off, and an attack on the real "
    "training path shows whether the noise that is on record was really added."
)
