"""Hands predictions over to the picture archive: structured reports, segmentations, NIfTI files."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from client.data.dicom.quiet import quiet
from client.export.dicom_seg import Author, write_seg
from client.export.dicom_sr import write_sr
from client.export.nifti import write_nifti
from client.use.answers import Columns
from client.use.cases import Cases
from client.use.headers import headers_of, slices_of
from client.use.segment import Drawn
from common.errors import DataError
from common.trained import Trained


def author_of(trained: Trained) -> Author:
    """Return how documents name the model: the study, the weights and the program."""
    return Author(f"{trained.study.name} {trained.version}", version("consilium"))


def write_reports(
    folder: Path, trained: Trained, cases: Cases, found: Sequence[int], columns: Columns
) -> list[str]:
    """Write a structured report for every patient; return what could not be written.

    Args:
        folder: of the results.
        trained: the model.
        cases: the images.
        found: numbers of the patients who have an answer.
        columns: the answers, one row each.
    """
    problems, author = [], author_of(trained)
    for row, number in enumerate(found):
        cuts = [cases.cuts[sample] for sample in np.flatnonzero(cases.case == number).tolist()]
        answer = {name: values[row] for name, values in columns.items()}
        figures = {n: v for n, v in answer.items() if isinstance(v, float)}
        words = {n: v for n, v in answer.items() if isinstance(v, str)}
        try:
            file = folder / f"case-{number + 1:04d}.sr.dcm"
            with quiet():  # highdicom's warnings quote names
                write_sr(file, headers_of(slices_of(cuts)), figures, words, author)
            _private(file)
        except Exception:  # pydicom and highdicom raise many kinds on headers that lack something
            problems.append(f"Of case {number + 1}, the images' headers do not allow a report.")
    return problems


def _private(*files: Path) -> None:
    """Leave files to their owner: they name patients."""
    for file in files:
        if file.exists():
            file.chmod(0o600)


def write_drawn(
    folder: Path, stem: str, drawn: Drawn, structures: Sequence[str], author: Author
) -> list[str]:
    """Write one series' masks as DICOM SEG and as NIfTI; return what could not be written."""
    if len({(found.file.path, found.file.member) for found in drawn.slices}) < len(drawn.slices):
        return [f"{stem}: masks of files with several frames are not written."]
    problems = []
    try:
        with quiet():
            headers = headers_of(drawn.slices)
            if drawn.masks.any():
                write_seg(folder / f"{stem}.seg.dcm", headers, drawn.masks, structures, author)
            else:
                problems.append(f"{stem}: nothing is drawn, so there is no DICOM segmentation.")
            write_nifti(folder / f"{stem}.nii.gz", headers, drawn.masks)
    except DataError as error:
        problems.append(f"{stem}: no NIfTI file: {error.what}")
    except Exception:  # as above
        problems.append(f"{stem}: the images' headers do not allow a segmentation.")
    _private(folder / f"{stem}.seg.dcm", folder / f"{stem}.nii.gz")
    return problems
