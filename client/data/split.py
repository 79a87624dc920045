"""Who is held out: drawn for each patient alone, or declared by the site.

u = HMAC-SHA256(site secret, "split:" + identifier) as a number in [0, 1): a patient's place does
not depend on who else is there, so adding or removing a patient changes nothing for the others.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping

from common.errors import DataError

TRAIN, TEST = "train", "test"
_MEANING = {
    **dict.fromkeys(("train", "training", "val", "valid", "validation", "dev"), TRAIN),
    **dict.fromkeys(("test", "testing", "held-out", "heldout", "holdout"), TEST),
}


def keyed(secret: bytes, purpose: str, value: str) -> bytes:
    """Return the 32 bytes of HMAC-SHA256(secret, purpose:value)."""
    return hmac.digest(secret, f"{purpose}:{value}".encode("utf-8", "surrogatepass"), "sha256")


def place_of(secret: bytes, patient: str) -> bytes:
    """Return what the patients of a cohort are sorted by."""
    return keyed(secret, "order", patient)


def is_held_out(secret: bytes, patient: str, fraction: float) -> bool:
    """Draw one patient's place; True means test."""
    return int.from_bytes(keyed(secret, "split", patient)[:8], "big") < fraction * 2.0**64


def declared_splits(pairs: Iterable[tuple[str, str]], *, where: str) -> Mapping[str, str]:
    """Read (patient, split) pairs; validation patients count as training patients.

    Raises:
        DataError: a word that is no split, or patients who are in two splits (counted, not named).
    """
    found: dict[str, set[str]] = {}
    unknown = 0
    for patient, word in pairs:
        meaning = _MEANING.get(word.strip().casefold())
        unknown += meaning is None
        found.setdefault(patient, set()).add(meaning or "")
    if unknown:
        raise DataError(
            f"{unknown} rows have a split that is neither train nor test.",
            where=where,
            fix="Write train, val or test in every row, or leave the column out.",
        )
    double = sum(len(splits) > 1 for splits in found.values())
    if double:
        raise DataError(
            f"{double} patient{'s are' if double > 1 else ' is'} in two splits.",
            where=where,
            fix="Put every patient either into train or into test.",
        )
    return {patient: splits.pop() for patient, splits in found.items()}
