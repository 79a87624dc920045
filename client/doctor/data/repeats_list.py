"""Names what is there twice, in a list that stays in the site's private folder."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.data.look import STAND_IN, secret_of
from client.doctor.site_file import private_folder
from common import plugins
from common.errors import DataError
from common.files import write_atomically

if TYPE_CHECKING:
    from client.data.cohort import Cohort
    from client.data.index.archive import Archive
    from client.doctor.data.look import StudyLook
    from client.site import Site
    from client.site_folder import SiteFolder

MOST_PATIENTS = 200
"""Whose files are compared to name them."""
_HEAD = ("what", "patient", "file or sample", "other patient", "other file or sample")


@dataclass(frozen=True)
class _Place:
    """Where something lies that is there twice.

    Attributes:
        number: the patient's in the cohort.
        what: a file's name, or which of the patient's samples it is.
    """

    number: int
    what: str = field(repr=False)


def listed(
    look: StudyLook, site: Site, folder: SiteFolder, pairs: Sequence[tuple[int, int]]
) -> Path:
    """Write the list (mode 600); images are named by their files, other samples by their number.

    The cohort knows no identifiers, so the data set is read once more: this happens only where something is twice.

    Args:
        look: with its cohort.
        site: the hospital.
        folder: its private files.
        pairs: rows of the cohort that are alike.

    Raises:
        DataError: the data set changed while it was looked at.
        MachineError: the private folder cannot be written.
    """
    assert look.cohort is not None
    name, _ = look.dataset(site)
    path = private_folder(site) / f"doctor-repeats-{name}.csv"
    names, alike = _read(look, site, folder, pairs)
    rows = [_row(each, names, look.cohort) for each in alike]
    text = io.StringIO()
    csv.writer(text).writerows([_HEAD, *rows])
    write_atomically(path, text.getvalue().encode("utf-8", "backslashreplace"))
    return path


def _read(
    look: StudyLook, site: Site, folder: SiteFolder, pairs: Sequence[tuple[int, int]]
) -> tuple[list[str], list[tuple[_Place, _Place]]]:
    """Return the cohort's patients in their order, and what is alike."""
    from client.data.index.archive import Indexed, archive

    assert look.cohort is not None
    name, config = look.dataset(site)
    source = plugins.load("sources", look.spec.kind)()
    alike = list(_samples(look.cohort, pairs))
    if not isinstance(source, Indexed) or config.kind != "dicom" or look.spec.kind != "dicom":
        return _names(look, source, config, folder), alike
    place = site.private_folder / "index" / f"{name}-{look.spec.modality}.sqlite"
    with archive(config.path, look.spec.modality, place) as held:
        source.archive = held
        names = _names(look, source, config, folder)
        groups = _groups(held, names, alike)
    named = [{place.number for place in group} for group in groups]
    files = [(place, group[0]) for group in groups for place in group[1:]]
    others = [p for p in alike if not any({p[0].number, p[1].number} <= each for each in named)]
    return names, files + others


def _names(look: StudyLook, source: object, config: object, folder: SiteFolder) -> list[str]:
    """Return identifiers in the order in which the cohort numbers its patients."""
    from client.data.samples import Source
    from client.data.split import place_of

    assert look.cohort is not None
    reader: Source = source  # type: ignore[assignment]
    raw = reader.load(config, look.spec, look.classes or None)
    secret = secret_of(folder) or STAND_IN
    names = sorted(set(raw.patients), key=partial(place_of, secret))
    if len(names) != look.cohort.patients:
        raise DataError("The data set changed while it was looked at.", fix="Look again.")
    return names


def _samples(cohort: Cohort, pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[_Place, _Place]]:
    import numpy as np

    first = np.searchsorted(cohort.patient, np.arange(cohort.patients))
    for pair in pairs:
        one, other = (
            _Place(int(number), f"sample {row - int(first[number]) + 1}")
            for row, number in ((row, cohort.patient[row]) for row in pair)
        )
        yield one, other


def _groups(
    held: Archive, names: Sequence[str], alike: Iterable[tuple[_Place, _Place]]
) -> list[list[_Place]]:
    """Return the images with the same pixels among the patients concerned."""
    concerned = list(dict.fromkeys(place.number for pair in alike for place in pair))
    found: dict[bytes, list[_Place]] = defaultdict(list)
    for number in concerned[:MOST_PATIENTS]:
        for digest, file in _pixels(held, names[number]):
            found[digest].append(_Place(number, file))
    return [places for places in found.values() if len(places) > 1]


def _pixels(held: Archive, patient: str) -> Iterator[tuple[bytes, str]]:
    """Yield a digest of each image of a patient that is not one single value, with its file's name."""
    from client.data.dicom.pixels import rescaled
    from client.data.dicom.quiet import quiet
    from client.data.dicom.unusable import Unusable
    from client.data.files import Reader

    with quiet(), Reader() as reader:
        for image in held.slices(patient):
            try:
                values = rescaled(image, reader)
            except (Unusable, OSError):
                continue  # it is no sample either
            if values.min() < values.max():
                frame = f", frame {image.frame + 1}" if image.frame else ""
                digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
                yield digest, image.file.name + frame


def _row(
    pair: tuple[_Place, _Place], names: Sequence[str], cohort: Cohort
) -> tuple[str, str, str, str, str]:
    one, other = pair
    if one.number == other.number:
        what = "twice under one patient"
    elif cohort.is_test[one.number] == cohort.is_test[other.number]:
        what = "under two patients"
    else:
        what = "in training and held out"
    return what, names[one.number], one.what, names[other.number], other.what
