"""Reports in a public vocabulary: from a table beside DICOM images, and from texts in an .npz file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from client.data.cohort import Cohort
from common.errors import DataError

Build = Callable[..., Cohort]
Write = Callable[..., FileDataset]
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
WORDS = ["effusion", "no", "nodule", "x-ray"]
SPEC: dict[str, Any] = {
    "kind": "dicom",
    "image_size": 8,
    "labels": "text",
    "vocabulary": WORDS,
    "report_words": 3,
}
ARRAYS = {**SPEC, "kind": "arrays"}


@pytest.fixture
def archive(write_ct: Write, tmp_path: Path) -> Callable[..., None]:
    """The function that writes three patients, the n-th as bright as n, and their table of reports."""

    def write(*rows: str, head: str = "patient_id,report") -> None:
        for number in range(3):
            pixels = np.full((8, 8), 1024 + 100 * number, np.uint16)
            write_ct(tmp_path / f"d/{number}.dcm", pixels, f"p{number}")
        (tmp_path / "l.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")

    return write


def by_brightness(cohort: Cohort) -> list[list[int]]:
    found: list[list[int]] = cohort.targets[np.argsort(cohort.inputs[:, 0, 0, 0])].tolist()
    return found


def test_sentences_become_numbers_of_words(build: Build, archive: Callable[..., None]) -> None:
    archive('p0,"X-Ray: no nodule."', "p1,Nodule", 'p2," no  EFFUSION!"')
    cohort = build(SITE, SPEC)
    assert cohort.targets.dtype == np.int64
    assert by_brightness(cohort) == [[4, 2, 3], [3, 0, 0], [2, 1, 0]]


def test_a_site_has_its_own_column_and_words(build: Build, archive: Callable[..., None]) -> None:
    archive("p0,clear", "p1,Nodule", "p2,Nodule", head="patient_id,befund")
    own = 'columns = { report = "befund" }\nreplace.report = { clear = "no nodule" }\n'
    assert by_brightness(build(SITE + own, SPEC))[0] == [2, 3, 0]


def test_what_the_vocabulary_cannot_say_is_left_out(
    build: Build, archive: Callable[..., None]
) -> None:
    archive("p0,no nodule", "p1,nodule of Mr Meier", "p2,no nodule no effusion")
    cohort = build(SITE, SPEC)
    assert cohort.patients == 1
    said = cohort.quarantine.summary()
    assert "a word outside of the vocabulary" in said
    assert "a report that is too long" in said
    assert "Meier" not in said


def test_patients_with_two_reports_are_refused(build: Build, archive: Callable[..., None]) -> None:
    archive("p0,nodule", "p0,Nodule.", "p1,no nodule", "p2,nodule")
    assert build(SITE, SPEC).patients == 3
    archive("p0,nodule", "p0,no nodule", "p1,nodule", "p2,nodule")
    with pytest.raises(DataError, match="1 patient has two different reports"):
        build(SITE, SPEC)


def test_arrays_hold_texts(build: Build, tmp_path: Path) -> None:
    site = 'kind = "arrays"\npath = "a.npz"\n'
    images = np.arange(3)[:, None, None] * np.ones((1, 8, 8))
    np.savez(tmp_path / "a.npz", images=images, labels=["nodule", "no nodule", "no effusion"])
    assert by_brightness(build(site, ARRAYS)) == [[3, 0, 0], [2, 3, 0], [2, 1, 0]]
    for labels, said in (
        (["nodule", "", "nodule"], "an image without a report"),
        (["nodule", "Meier", "nodule"], "a word outside of the vocabulary"),
        ([1, 2, 3], "no texts"),
    ):
        np.savez(tmp_path / "a.npz", images=images, labels=labels)
        with pytest.raises(DataError, match=said) as error:
            build(site, ARRAYS)
        assert "Meier" not in str(error.value)
