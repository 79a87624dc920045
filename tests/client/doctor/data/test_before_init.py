"""The doctor in a folder with nothing but a site.toml: the same answer twice, the page, and headings as written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from doctor_house import PRIVACY, House, by_level, write_ct
from typer.testing import CliRunner

from client.doctor.cli import doctor
from client.doctor.site_file import section
from client.site import load_site
from common.study_file import dump_study

ROWS = "\n".join(["pid,age,sex,target", *(f"P{n},{40 + n % 9},{n % 2},{n % 2}" for n in range(40))])
SITE = '{heading}\ndeclared_patients = 40\nkind = "table"\npath = "t.csv"\npatient = "pid"\n'


@pytest.fixture
def bare(house: House) -> House:
    """A hospital without a private folder."""
    (house.folder / ".consilium" / "secret").unlink()
    (house.folder / ".consilium").rmdir()
    (house.folder / "t.csv").write_text(ROWS)
    (house.folder / "study.toml").write_text(dump_study(house.look("table").study))
    write(house, "[data]")
    return house


def write(house: House, heading: str) -> None:
    text = f'[site]\nname = "house"\n[policy]\n{PRIVACY}\n{SITE.format(heading=heading)}'
    (house.folder / "site.toml").write_text(text)


def ask(house: House, *words: object) -> Any:
    """What the command says of the data."""
    app = typer.Typer()
    app.command()(doctor)
    asked = (house.folder, "--study", house.folder / "study.toml", "--data-only", *words)
    return CliRunner().invoke(app, [str(word) for word in asked])


def test_two_looks_agree_and_say_once_that_the_split_is_an_example(bare: House) -> None:
    first, second = ask(bare, "--json"), ask(bare, "--json")
    assert first.stdout == second.stdout
    texts = [each["text"] for each in json.loads(first.stdout)]
    assert sum("stand-in" in text for text in texts) == 1
    (bare.folder / ".consilium" / "secret").write_bytes(b"a site's secret of 32 bytes.....")
    assert "stand-in" not in ask(bare, "--json").stdout


def test_a_declared_split_needs_no_stand_in(bare: House) -> None:
    rows = ROWS.splitlines()
    split = [
        f"{rows[0]},split",
        *(f"{r},{('test', 'train')[n % 4 > 0]}" for n, r in enumerate(rows[1:])),
    ]
    (bare.folder / "t.csv").write_text("\n".join(split))
    with (bare.folder / "site.toml").open("a") as file:
        file.write('split = "split"\n')
    assert "stand-in" not in ask(bare).stdout


def test_the_page_is_written_and_its_folder_is_private(bare: House) -> None:
    told = ask(bare)
    page = bare.folder / ".consilium" / "doctor.html"
    assert f"Page with pictures: {page}" in told.stdout
    assert page.stat().st_mode & 0o777 == 0o600
    assert page.parent.stat().st_mode & 0o777 == 0o700


def test_the_index_of_images_leaves_the_folder_private(house: House) -> None:
    """It is the first to be made, and makes the private folder with it."""
    (house.folder / ".consilium" / "secret").unlink()
    (house.folder / ".consilium").rmdir()
    write_ct(house.folder / "ct" / "a.dcm", np.full((8, 8), 900, np.uint16), "SECRET0")
    (house.folder / "labels.csv").write_text("patient_id,label\nSECRET0,0\n")
    house.write('kind = "dicom"\npath = "ct"\nlabels = "labels.csv"', 1)
    look = house.look("dicom", ("no", "yes"), centre="image", slices="all", image_size=28)
    house.findings("cohort", look=look)
    assert (house.folder / ".consilium" / "index").is_dir()
    assert (house.folder / ".consilium").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_page_that_cannot_be_written_is_said(bare: House, words: tuple[str, ...]) -> None:
    (bare.folder / ".consilium").write_text("in the way")
    told = ask(bare, *words)
    assert "The page with pictures was not written." in told.stdout
    assert "--html FILE" in told.stdout
    told = ask(bare, *words, "--html", bare.folder / "t.csv" / "page.html")
    assert "The page with pictures was not written." in told.stdout
    assert told.exit_code == 0


def test_a_broken_site_file_has_no_page_and_says_so(bare: House) -> None:
    (bare.folder / "site.toml").write_text("[site")
    told = ask(bare)
    assert told.exit_code == 2
    assert "No page was written" in told.stdout


def test_headings_are_those_of_the_file(bare: House) -> None:
    (bare.folder / "t.csv").write_text(ROWS.replace("age", "years"))
    assert "Set [data] columns" in ask(bare).stdout
    write(bare, "[data.default]")
    assert "Set [data.default] columns" in ask(bare).stdout
    (bare.folder / "t.csv").unlink()
    assert "Correct [data.default] path" in ask(bare).stdout
    write(bare, "[data]")
    told = ask(bare).stdout
    assert "Correct [data] path" in told
    assert "data.default" not in told


def test_every_fix_names_the_heading_as_written(bare: House) -> None:
    write(bare, "[data]")
    file = bare.folder / "site.toml"
    file.write_text(file.read_text().replace('patient = "pid"\n', "").replace("= 40", "= 4000"))
    (bare.folder / "t.csv").write_text(ROWS.replace(",4", ",0.4"))
    found = by_level(bare.findings("patients", "units", "cohort", look=bare.look("table")))
    texts = "\n".join(found["amber"])
    for setting in ("[data] patient", "[data] scale.age", "[data] declared_patients"):
        assert setting in texts
    assert "default]" not in texts


def test_a_site_file_that_went_away_has_the_long_heading(bare: House) -> None:
    site = load_site(bare.folder)
    Path(site.file).unlink()
    assert section(site, "default") == "[data.default]"
