"""Several findings a patient in the table of labels of DICOM images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from client.data.cohort import Cohort
from common.errors import DataError, StudyError

Build = Callable[..., Cohort]
Write = Callable[..., FileDataset]
NAMES = ["effusion", "nodule"]
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
SPEC: dict[str, Any] = {"kind": "dicom", "image_size": 8, "labels": "classes"}


@pytest.fixture
def archive(write_ct: Write, tmp_path: Path) -> Callable[..., None]:
    """The function that writes three patients, the n-th as bright as n, and their table of labels."""

    def write(*rows: str, head: str = "patient_id,effusion,nodule") -> None:
        for number in range(3):
            pixels = np.full((8, 8), 1024 + 100 * number, np.uint16)
            write_ct(tmp_path / f"d/{number}.dcm", pixels, f"p{number}")
        (tmp_path / "l.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")

    return write


def by_brightness(cohort: Cohort) -> list[list[float]]:
    return cohort.targets[np.argsort(cohort.inputs[:, 0, 0, 0])].tolist()


def test_present_absent_unknown(build: Build, archive: Callable[..., None]) -> None:
    archive("p0,1,0", "p1,-1,", "p2,0.0,1")
    cohort = build(SITE, SPEC, NAMES)
    assert cohort.targets.dtype == np.float32
    assert by_brightness(cohort) == [[1.0, 0.0], [-1.0, -1.0], [0.0, 1.0]]


def test_the_order_is_the_tasks_and_the_words_the_sites(
    build: Build, archive: Callable[..., None]
) -> None:
    archive("p0,yes,0", "p1,no,1", "p2,no,", head="patient_id,fluid,nodule")
    own = 'columns = { effusion = "fluid" }\nreplace.effusion = { yes = 1, no = 0 }\n'
    found = by_brightness(build(SITE + own, SPEC, ["nodule", "effusion"]))
    assert found == [[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]


def test_rows_of_a_patient_complete_each_other(build: Build, archive: Callable[..., None]) -> None:
    archive("p0,1,", "p0,,0", "p1,0,0", "p2,0,0")
    assert by_brightness(build(SITE, SPEC, NAMES))[0] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["p0,1,0", "p0,0,0"], "1 patient has rows that contradict"),
        (["p0,2,0", "p1,maybe,0"], "2 rows are neither"),
    ],
)
def test_messages(build: Build, archive: Callable[..., None], rows: list[str], said: str) -> None:
    archive(*rows)
    with pytest.raises(DataError, match=said):
        build(SITE, SPEC, NAMES)


def test_a_task_without_findings_is_refused(build: Build, archive: Callable[..., None]) -> None:
    archive("p0,1,0")
    with pytest.raises(StudyError, match="a task with findings"):
        build(SITE, SPEC)


def test_rows_of_nobody_contradict_nobody(build: Build, archive: Callable[..., None]) -> None:
    archive(",1,0", ",0,1", "p0,1,0", "p1,0,0", "p2,0,0")
    cohort = build(SITE, SPEC, NAMES)
    assert by_brightness(cohort)[0] == [1.0, 0.0]
    assert cohort.quarantine.counts == {"label row without patient": 2}
