"""Finds the segmentations of a site: whose they are and what they show; read in workers, which may crash or hang."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from client.data.dicom.quiet import quiet
from client.data.dicom.slices import Vector
from client.data.files import File, Reader, unpack, walk
from client.data.masks.reading import read
from client.data.masks.regions import Named
from client.data.quarantine import QuarantineLog
from client.data.workers.pool import outcomes
from client.data.workers.wire import Answer, Refused
from common.errors import DataError

OTHER_FRAME = "mask of another frame of reference than the images"
UNCLEAR = "mask that does not say which of the patient's images it is of"


@dataclass(frozen=True)
class Drawing(Named):
    """A structure in a file, without its region.

    Attributes:
        file: where it is.
        middle: [3] centre of mass (mm); none of what lies nowhere.
    """

    file: File = field(repr=False)
    middle: Vector | None = field(repr=False)


def drawings(path: Path, log: QuarantineLog) -> list[Drawing]:
    """Return the structures of every file of a folder (or .zip), in the order of the files.

    Args:
        path: where the segmentations are.
        log: what is left out, and why.

    Raises:
        DataError: there is no such folder.
    """
    if not path.exists():
        raise DataError("There is no such folder.", where=str(path), fix="Correct the path.")
    sent: dict[int, File] = {}
    found: dict[int, list[Drawing]] = {}
    refused: dict[int, tuple[str, str]] = {}
    for number, outcome in outcomes(look, _jobs(path, log, sent)):
        file = sent.pop(number)
        if isinstance(outcome, Refused):
            refused[number] = (file.name, outcome.reason)
        else:
            found[number] = [_drawing(file, *row) for row in outcome.value]
    for number in sorted(refused):
        log.add(*refused[number])
    return [each for number in sorted(found) for each in found[number]]


def _jobs(path: Path, log: QuarantineLog, sent: dict[int, File]) -> Iterator[File]:
    for number, file in enumerate(unpack(walk(path, log.add), log.add)):
        sent[number] = file
        yield file


def _drawing(
    file: File, patients: Sequence[str], name: str, frame: str, middle: Sequence[float] | None
) -> Drawing:
    place = None if middle is None else np.array(middle)
    return Drawing(tuple(patients), name, frame, file, place)


@cache
def _reader() -> Reader:
    """A worker's own, which keeps the last archive open."""
    return Reader()


def look(file: File) -> Answer:
    """Read one file, in a worker: [patients, name, frame of reference, middle] of each structure.

    Raises:
        Unusable: with the reason.
    """
    with quiet():
        masks = read(file, _reader())
    rows = []
    for mask in masks:
        middle = mask.region.middle()
        place = None if middle is None else middle.tolist()
        rows.append([mask.patients, mask.name, mask.frame_of_reference, place])
    return Answer(rows)


def by_patient(
    found: Sequence[Drawing], names: Collection[str], patients: Collection[str]
) -> dict[str, list[Drawing]]:
    """Return the drawings of some structures, by patient.

    Args:
        found: all of them.
        names: of the structures, as the site calls them; case does not matter.
        patients: who is asked for; a drawing of anybody else is passed over.
    """
    mine: dict[str, list[Drawing]] = {}
    for each in found:
        patient = next((name for name in each.patients if name in patients), None)
        if patient is not None and any(map(each.shows, names)):
            mine.setdefault(patient, []).append(each)
    return mine


def of_images(
    found: Sequence[Drawing], frames: Collection[str], log: QuarantineLog
) -> list[Drawing]:
    """Return the drawings that belong to a patient's images; the files of others are noted.

    Args:
        found: the patient's.
        frames: frames of reference of the patient's images; "" for images that do not say.
        log: files that are made on other images, or may be.
    """
    kept = []
    reasons: dict[str, str] = {}
    for each in found:
        if not any(map(each.is_of, frames)):
            reasons[each.file.name] = OTHER_FRAME
        elif not each.frame_of_reference and len(frames) > 1:
            reasons[each.file.name] = UNCLEAR
        else:
            kept.append(each)
    for name, reason in reasons.items():
        log.add(name, reason)
    return kept
