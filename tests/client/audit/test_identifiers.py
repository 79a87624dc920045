"""`consilium audit identifiers`: from a site's data to the verdict."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from client.audit.identifiers_cli import identifiers
from client.audit.identifiers_report import look
from client.site import Site
from common.errors import DataError, StudyError
from tests.client.data.conftest import ct

DATA = """
[data.chest]
kind = "dicom"
path = "dicom"
labels = "labels.csv"
declared_patients = 10
[data.table]
kind = "table"
path = "table.csv"
patient = "who"
declared_patients = 10
[data.glucose]
kind = "series"
path = "readings"
patient = "<file>"
declared_patients = 10
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A hospital with images, a table and readings."""
    site = tmp_path / "house"
    ct(
        site / "dicom" / "1",
        np.zeros((4, 4), np.int16),
        "IMG-0001",
        PatientName="Zweistein^Albertine",
        PatientBirthDate="19280302",
        AccessionNumber="ACC-4711",
    )
    (site / "labels.csv").write_text("patient_id,label\nLAB-0001,1\n")
    (site / "table.csv").write_text("who,age\nTAB-0001,80\n")
    (site / "readings").mkdir()
    (site / "readings" / "SER-0001.csv").write_text("time,value\n1,2\n")
    (site / "site.toml").write_text(f'[site]\nname = "house"\n{DATA}')
    return site


def run(*words: object) -> Any:
    app = Typer()
    app.command()(identifiers)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_nothing_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text('{"patients": 1}')
    ended = run(folder, tmp_path / "run", "--json")
    assert ended.exit_code == 0
    told = json.loads(ended.stdout)
    assert (told["verdict"], told["files"], told["unread"]) == ("sound", 1, [])
    assert told["identifiers"] >= 10


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("IMG-0001", "patient id"),
        ("LAB-0001", "patient id"),
        ("TAB-0001", "patient id"),
        ("SER-0001", "patient id"),
        ("Zweistein, Albertine", "patient name"),
        ("albertine zweistein", "patient name"),
        ("1928-03-02", "birth date"),
        ("ACC-4711", "accession number"),
    ],
)
def test_found_in_the_services_log(text: str, kind: str, folder: Path) -> None:
    log = folder / ".consilium" / "logs" / "agent.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"a line\nabout {text}\n")
    ended = run(folder)
    assert ended.exit_code == 10
    assert "leaking" in ended.output.casefold()
    assert text not in ended.output
    assert kind in ended.output


def test_where_identifiers_belong_is_left_out(folder: Path) -> None:
    private = folder / ".consilium"
    private.mkdir()
    (private / "quarantine-chest.csv").write_text("IMG-0001,damaged")
    assert look(folder, [folder]).scan.hits == []


def test_a_source_that_cannot_be_read_is_told(folder: Path) -> None:
    (folder / "table.csv").write_text("name,age\nTAB-0001,80\n")
    looked = look(folder, [])
    assert len(looked.unread) == 1
    assert "column 'who'" in looked.unread[0]


def test_arrays(make_site: Callable[..., Site]) -> None:
    site = make_site(patients=20)
    leak = site.folder / "report.html"
    leak.write_text("<p>ZQX-patient-0003-Meier</p>")
    assert [hit.kind for hit in look(site.folder, [leak]).scan.hits] == ["patient id"]


def test_a_path_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such file"):
        look(folder, [tmp_path / "nothing"])


def test_patients_of_an_archive_and_of_records(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        '[site]\nname = "house"\n'
        '[data.sugar]\nkind = "series"\npath = "sugar.zip"\npatient = "<file>"\ndeclared_patients = 1\n'
        '[data.stays]\nkind = "records"\npath = "readings.csv"\noutcomes = "stays.csv"\nrecord = "stay"\n'
        'patient = "who"\ntime = "minute"\ntime_unit = "minutes"\ndeclared_patients = 1\n'
    )
    with zipfile.ZipFile(tmp_path / "sugar.zip", "w") as archive:
        archive.writestr("deep/SER-0002.csv", "time,value\n1,2\n")
        archive.writestr("README.md", "about")
    (tmp_path / "readings.csv").write_text("stay,minute,pulse\nSTAY-0001,1,60\n")
    (tmp_path / "stays.csv").write_text("stay,who\nSTAY-0001,WHO-0001\n")
    (tmp_path / "log").write_text("SER-0002\nSTAY-0001\nWHO-0001\nREADME\n")
    looked = look(tmp_path, [tmp_path / "log"])
    assert (len(looked.scan.hits), looked.scan.identifiers, looked.unread) == (3, 3, ())


@pytest.mark.parametrize(("patient", "short"), [("", 0), ('patient = "who"\n', 2)])
def test_nothing_to_look_for_is_not_sound(tmp_path: Path, patient: str, short: int) -> None:
    (tmp_path / "site.toml").write_text(
        '[site]\nname = "house"\n[data]\nkind = "table"\npath = "t.csv"\ndeclared_patients = 2\n'
        + patient
    )
    (tmp_path / "t.csv").write_text("who,age\n1,80\n2,70\n")
    (tmp_path / "log").write_text("of patient 1 and 2\n")
    ended = run(tmp_path, tmp_path / "log", "--json", "--html", tmp_path / "page.html")
    told = json.loads(ended.stdout)
    assert (ended.exit_code, told["verdict"]) == (0, "nothing to look for")
    assert "nothing to look for" in told["summary"]
    assert ("2 that are too short" in told["summary"]) == bool(short)
    assert (told["identifiers"], told["too_short"]) == (0, short)
    ended = run(tmp_path, tmp_path / "log")
    assert "Verdict: nothing to look for" in ended.output
    page = (tmp_path / "page.html").read_text()
    assert "Nothing to look for" in page


def test_identifiers_that_cannot_be_read_are_no_pass(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(
        '[site]\nname = "house"\n[data]\nkind = "table"\npath = "t.csv"\npatient = "who"\n'
        "declared_patients = 2\n"
    )
    (tmp_path / "t.csv").write_text("name,age\nTAB-0001,80\n")
    ended = run(tmp_path)
    assert isinstance(ended.exception, DataError)
    assert "No identifier could be read" in str(ended.exception)
