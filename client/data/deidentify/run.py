"""Writes a data set's copies, its labels under pseudonyms, and the key, which stays at the site."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client.data import tabular
from client.data.config import DicomDataset
from client.data.deidentify.dataset import Deidentifier
from client.data.deidentify.rules import Choices
from client.data.deidentify.writing import Writer
from client.data.dicom.opening import opened
from client.data.dicom.unusable import Unusable
from client.data.files import Reader, unpack, walk
from client.data.quarantine import Quarantine, QuarantineLog
from client.guard.pseudonyms import pseudonyms_of
from client.site import Site
from client.site_folder import SiteFolder
from common.errors import DataError, StudyError
from common.files import explain_os_error, write_atomically

COLUMNS = ("label", "split", "x_mm", "y_mm", "z_mm")


@dataclass(frozen=True)
class Done:
    """What was written; counts only.

    Attributes:
        data: name of the data set.
        files, patients: that have a copy.
        doubtful: copies of images into which text may be burnt.
        repeated: retained texts that repeated an identifier and were emptied.
        labels: rows of the table of labels that was written beside the copies.
        left_out: what has no copy, and why.
        key: file that says who is who; stays at the site.
    """

    data: str
    files: int
    patients: int
    doubtful: int
    repeated: int
    labels: int
    left_out: Quarantine
    key: Path


def deidentify(
    site: Site, output: Path, *, data: str | None, choices: Choices, allow_possible: bool
) -> Done:
    """Write copies of a DICOM data set without identity.

    Args:
        site: the hospital.
        output: folder for the copies, outside the data set's own.
        data: name of the data set; none: the only one of DICOM files.
        choices: within the profile.
        allow_possible: copy images into which text may be burnt, too.

    Raises:
        StudyError: there is no such data set, or the folder lies inside it.
        DataError: no file could be copied.
        MachineError: the disk is full or may not be written.
    """
    name, dataset = _chosen(site, data)
    _check_apart(output, dataset.path)
    names = pseudonyms_of(SiteFolder(site.folder).secret)
    cleaner = Deidentifier(names, choices)
    writer = Writer(output, names, cleaner, allow_possible=allow_possible)
    left_out = _copy_all(dataset, writer)
    left_out.write(site.private_folder / f"not-deidentified-{name}.csv")
    if not writer.written:
        raise DataError(
            f"No file could be copied. Left out: {left_out.summary()}.", where=str(dataset.path)
        )
    key = site.private_folder / f"pseudonyms-{name}.csv"
    write_atomically(key, _csv([["patient", "pseudonym"], *map(list, writer.patients.items())]))
    return Done(
        data=name,
        files=writer.written,
        patients=len(writer.patients),
        doubtful=writer.doubtful,
        repeated=sum(cleaner.found_in_text.values()),
        labels=_labels(dataset, writer.patients, output),
        left_out=left_out,
        key=key,
    )


def _copy_all(dataset: DicomDataset, writer: Writer) -> Quarantine:
    log = QuarantineLog()
    with Reader() as reader:
        for file in unpack(walk(dataset.path, log.add), log.add):
            if Path(file.path) == dataset.labels:
                continue
            try:
                with opened(file, reader) as stream:
                    writer.copy(stream)
            except Unusable as reason:
                log.add(file.name, str(reason))
            except OSError as error:
                if error.filename is not None and str(error.filename) != file.path:
                    raise explain_os_error(error, Path(str(error.filename))) from None
                log.add(file.name, "cannot be read")
    return log.result()


def _labels(dataset: DicomDataset, patients: Mapping[str, str], output: Path) -> int:
    """Write the labels of the copied patients; returns the number of rows."""
    if not dataset.labels.exists():
        return 0
    frame = tabular.read_table(dataset.labels, dataset)
    person = dataset.local("patient_id")
    tabular.require(frame, [person], where=str(dataset.labels), text=dataset)
    kept = [word for word in COLUMNS if dataset.local(word) in frame.columns]
    rows = [
        [patients[row[person]], *(row[dataset.local(word)] for word in kept)]
        for row in frame.to_dict("records")
        if row[person] in patients
    ]
    write_atomically(output / "labels.csv", _csv([["patient_id", *kept], *sorted(rows)]))
    return len(rows)


def _csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _chosen(site: Site, data: str | None) -> tuple[str, DicomDataset]:
    of_kind = {name: x for name, x in site.datasets.items() if isinstance(x, DicomDataset)}
    name = next(iter(of_kind)) if data is None and len(of_kind) == 1 else data
    if name is None or name not in of_kind:
        listed = ", ".join(f"'{each}'" for each in sorted(of_kind)) or "none"
        raise StudyError(
            f"The site has no DICOM data set '{name}'."
            if name
            else f"The site has {len(of_kind)} DICOM data sets.",
            where=str(site.file),
            fix=f"Choose one with --data: {listed}.",
        )
    return name, of_kind[name]


def _check_apart(output: Path, data: Path) -> None:
    """Refuse to mix copies with originals."""
    new, old = output.resolve(), data.resolve()
    if new == old or old in new.parents or new in old.parents:
        raise StudyError(
            "The copies would be mixed with the originals.",
            where=str(output),
            fix="Choose a folder apart from the data set's own.",
        )
