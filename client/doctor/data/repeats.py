"""The same sample twice: by its pixels or values, under one patient, under two, or in both splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from client.doctor.data.repeats_list import listed
from client.doctor.findings import Finding, Patient, amber, green, red
from common.errors import ConsiliumError, DataError

if TYPE_CHECKING:
    from client.data.cohort import Cohort

KINDS = ("dicom", "arrays", "signals", "series")
"""Rows of a table may well be alike."""
POSITIONS = 5
TELLING = 5
"""Different values that a window of readings needs to be anybody's: of a sensor that stands still, many are alike."""
MOST_PAIRS = 10_000


@dataclass
class Repeats:
    """Samples that were there before.

    Attributes:
        same: of the same patient.
        others: of another patient of the same split.
        across: of another patient of the other split.
        empty: samples that are one single value.
        places: share of the way through the cohort of the first repeats, in per cent.
        pairs: samples that were there before, each with the first that is like it; the first `MOST_PAIRS`.
    """

    same: int = 0
    others: int = 0
    across: int = 0
    empty: int = 0
    places: tuple[int, ...] = ()
    pairs: list[tuple[int, int]] = field(default_factory=list, repr=False)


def check(patient: Patient) -> Iterator[Finding]:
    """Compare every sample's hash with those before it."""
    look = patient.look
    if look is None or look.cohort is None or look.spec.kind not in KINDS:
        return
    readings = look.spec.kind in ("series", "signals")
    found = repeats(look.cohort, TELLING if readings else 2)
    where = (
        f" (at {', '.join(f'{place} %' for place in found.places)} of the cohort)"
        if found.places
        else ""
    )
    if found.across:
        yield red(
            f"{found.across} samples are in training and, under another patient, held out{where}.",
            "One person has two identifiers, or a file was copied: give each person one identifier, remove the copy.",
            kind=DataError,
        )
    if found.others:
        yield amber(
            f"{found.others} samples are there under two patients{where}.",
            "One person has two identifiers, or a file was copied: then ε protects each identifier, not the person.",
        )
    if found.same:
        yield amber(
            f"{found.same} samples repeat another one of the same patient{where}.",
            "Remove the copies: what is there twice weighs twice.",
        )
    if found.empty:
        yield amber(
            f"{found.empty} of {look.cohort.samples} samples are one single value.",
            "A sensor may stand still, or at an end of the study's range; many of them mean a wrong unit or column."
            if readings
            else "Empty slices are normal at the ends of a series; many of them mean a wrong window or damaged files.",
        )
    if not found.pairs:
        yield green("no sample is there twice")
        return
    try:
        path = listed(look, patient.site, patient.folder, found.pairs)
    except ConsiliumError as error:
        yield amber(f"The list of them could not be written. {error.what}", error.fix or "")
        return
    yield green(f"patients and files of what is there twice: .consilium/{path.name}")


def repeats(cohort: Cohort, telling: int = 2) -> Repeats:
    """Count the samples whose values were there before; the order is the cohort's, so it names nobody.

    Args:
        cohort: the samples.
        telling: samples of fewer different values are not compared.
    """
    import numpy as np

    found, seen, places = Repeats(), dict[bytes, int](), []
    for index in range(cohort.samples):
        sample = np.ascontiguousarray(cohort.inputs[index])
        if sample.size > 1 and sample.min() == sample.max():
            found.empty += 1
            continue
        if telling > 2 and len(np.unique(sample)) < telling:
            continue
        digest = hashlib.blake2b(sample.tobytes(), digest_size=16).digest()
        first = seen.setdefault(digest, index)
        if first == index:
            continue
        if len(found.pairs) < MOST_PAIRS:
            found.pairs.append((index, first))
        places.append(100 * index // cohort.samples)
        one, other = cohort.patient[first], cohort.patient[index]
        if one == other:
            found.same += 1
        elif cohort.is_test[one] == cohort.is_test[other]:
            found.others += 1
        else:
            found.across += 1
    found.places = tuple(dict.fromkeys(places))[:POSITIONS]
    return found
