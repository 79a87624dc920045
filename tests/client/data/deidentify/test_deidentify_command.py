"""`consilium site deidentify` on a small hospital."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from typer import Typer
from typer.testing import CliRunner

from client.data.deidentify.cli import deidentify
from client.data.deidentify.rules import Choices
from client.data.deidentify.run import deidentify as run
from client.site import load_site
from common.errors import DataError, StudyError

PIXELS = np.arange(16, dtype=np.int16).reshape(4, 4)


@pytest.fixture
def hospital(tmp_path: Path, write_ct: Callable[..., Any]) -> Path:
    """Two labelled patients with two images, one of whom has an image with text."""
    folder = tmp_path / "house"
    for patient in ("ZQX-1", "ZQX-2"):
        for z in (0, 1):
            write_ct(folder / "dicom" / patient / f"{z}.dcm", PIXELS, patient, z)
    write_ct(folder / "dicom" / "us.dcm", PIXELS, "ZQX-1", 2, ImageType=["A", "B", "SCREEN SAVE"])
    write_ct(folder / "dicom" / "said.dcm", PIXELS, "ZQX-1", 3, BurnedInAnnotation="YES")
    (folder / "dicom" / "note.txt").write_text("ZQX-1 is ill")
    (folder / "labels.csv").write_text("patient_id,label,ward\nZQX-1,1,7\nZQX-2,0,8\nZQX-9,0,8\n")
    (folder / "site.toml").write_text(
        '[site]\nname = "house"\n[data.chest]\nkind = "dicom"\npath = "dicom"\n'
        'labels = "labels.csv"\ndeclared_patients = 10\n'
    )
    return folder


def everything_below(folder: Path) -> str:
    names = "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return names + "".join(
        x.read_bytes().decode("latin-1") for x in folder.rglob("*") if x.is_file()
    )


def test_copies_labels_and_key(hospital: Path, tmp_path: Path) -> None:
    out = tmp_path / "copies"
    app = Typer()
    app.command()(deidentify)
    ended = CliRunner().invoke(app, [str(hospital), str(out), "--json"])
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert (told["files"], told["patients"], told["labels"]) == (4, 2, 2)
    assert told["left_out"] == {
        "not DICOM": 1,
        "text is burnt into the image": 1,
        "text may be burnt into the image": 1,
    }
    assert "ZQX" not in everything_below(out)
    assert "ZQX" not in ended.output

    rows = list(csv.DictReader((out / "labels.csv").read_text().splitlines()))
    text = (hospital / ".consilium" / "pseudonyms-chest.csv").read_text()
    key = dict(list(csv.reader(text.splitlines()))[1:])
    assert set(key) == {"ZQX-1", "ZQX-2"}
    assert {row["patient_id"]: row["label"] for row in rows} == {
        key["ZQX-1"]: "1",
        key["ZQX-2"]: "0",
    }
    assert list(rows[0]) == ["patient_id", "label"]
    found = [dcmread(path) for path in out.rglob("*.dcm")]
    assert {str(x.PatientID) for x in found} == set(key.values())
    assert all((x.pixel_array == PIXELS).all() for x in found)
    assert all(path.stat().st_mode & 0o77 == 0 for path in out.rglob("*.dcm"))
    private = (hospital / ".consilium" / "not-deidentified-chest.csv").read_text()
    assert "said.dcm" in private


def test_doubtful_images_are_copied_on_request_only(hospital: Path, tmp_path: Path) -> None:
    done = run(
        load_site(hospital), tmp_path / "out", data=None, choices=Choices(), allow_possible=True
    )
    assert (done.files, done.doubtful) == (5, 1)
    assert dict(done.left_out.counts) == {"not DICOM": 1, "text is burnt into the image": 1}


def test_a_second_run_gives_the_same_copies(hospital: Path, tmp_path: Path) -> None:
    keys = {"data": "chest", "choices": Choices("shift", True), "allow_possible": False}
    made = []
    for name in ("one", "two"):
        run(load_site(hospital), tmp_path / name, **keys)  # type: ignore[arg-type]
        made.append(
            {
                str(x.relative_to(tmp_path / name)): x.read_bytes()
                for x in (tmp_path / name).rglob("*.dcm")
            }
        )
    assert made[0] == made[1]


@pytest.mark.parametrize("place", ["house/dicom", "house/dicom/inside", "house"])
def test_copies_are_kept_apart(hospital: Path, tmp_path: Path, place: str) -> None:
    with pytest.raises(StudyError, match="mixed with the originals"):
        run(
            load_site(hospital),
            tmp_path / place,
            data=None,
            choices=Choices(),
            allow_possible=False,
        )


def test_no_such_data_set(hospital: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no DICOM data set 'chess'") as found:
        run(
            load_site(hospital),
            tmp_path / "o",
            data="chess",
            choices=Choices(),
            allow_possible=False,
        )
    assert "'chest'" in found.value.fix


def test_nothing_to_copy(hospital: Path, tmp_path: Path) -> None:
    for path in (hospital / "dicom").rglob("*.dcm"):
        path.unlink()
    with pytest.raises(DataError, match="No file could be copied"):
        run(load_site(hospital), tmp_path / "o", data=None, choices=Choices(), allow_possible=False)
