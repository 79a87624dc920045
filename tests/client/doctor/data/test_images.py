"""Images under the doctor: repeats, spacing, intensity, identifiers, memory, cache, and the page."""

from __future__ import annotations

import base64
import json
import re
import zlib

import numpy as np
import pytest
import typer
from doctor_house import House, by_level, write_ct
from pydicom.encaps import encapsulate
from pydicom.uid import UID, CTImageStorage
from typer.testing import CliRunner

from client.data.cohort import Cohort
from client.data.dicom import dcmtk
from client.data.workers import pool
from client.doctor.cli import doctor
from client.doctor.data import decoders, memory
from client.doctor.data.look import StudyLook
from client.doctor.data.png import encoded, thumbnail
from client.doctor.data.repeats import TELLING, repeats
from client.doctor.examine import LEFT_OUT
from client.service.start import Half

ARRAYS = 'kind = "arrays"\npath = "x.npz"\n'
CLASSES = ("no", "yes")
JPEG = bytes.fromhex("ffd8ffc1000b0c0008000801011100") + b"\xff\xd9"
"""The head of an 8 by 8 JPEG with 12 bits; nothing follows."""


def arrays(house: House, images: np.ndarray, patients: list[str], **more: object) -> None:
    """Write images of alternating classes."""
    labels = np.arange(len(images)) % 2
    np.savez(
        house.folder / "x.npz", images=images, labels=labels, patients=np.array(patients), **more
    )
    house.write(ARRAYS, len(set(patients)))


def drawn(count: int) -> np.ndarray:
    """Random images."""
    return np.random.default_rng(3).integers(0, 256, (count, 28, 28)).astype(np.uint8)


def test_repeats_within_a_patient_under_two_and_across_splits(house: House) -> None:
    images = drawn(40)
    patients = [f"SECRET{n}" for n in range(40)]
    arrays(house, images, patients)
    look = house.look("arrays", CLASSES)
    assert by_level(house.findings("cohort", "repeats", look=look))["amber"] == []
    images[1:21] = images[0]  # twenty patients: some train, some are held out
    images[39], patients[39] = images[38], patients[38]
    images[30] = 7
    arrays(house, images, patients)
    found = by_level(house.findings("cohort", "repeats", look=house.look("arrays", CLASSES)))
    assert "in training and, under another patient, held out" in found["red"][0]
    texts = " ".join(found["amber"])
    assert "under two patients" in texts
    assert "1 samples repeat another one of the same patient" in texts
    assert "1 of 40 samples are one single value" in texts
    assert "SECRET" not in " ".join([*found["red"], texts])


def test_each_repeat_is_counted_once() -> None:
    values = np.array([1, 2, 1, 1, 2, 3, 1, 4], np.float32)
    inputs = np.stack([values, -values], axis=1)
    inputs[5] = 0.5
    cohort = Cohort(
        inputs=inputs,
        targets=np.zeros(8, np.int64),
        patient=np.array([0, 0, 0, 1, 1, 2, 2, 2]),
        is_test=np.array([False, False, True]),
        split_id="declared",
    )
    found = repeats(cohort)
    assert (found.same, found.others, found.across, found.empty) == (1, 2, 1, 1)
    assert found.places == (25, 37, 50, 75)


def test_arrays_without_patients(house: House) -> None:
    arrays(house, drawn(4), ["a", "b", "c", "d"])
    assert by_level(house.findings("patients"))["amber"] == []
    house.write(ARRAYS + 'patients = "who"')
    assert "every image counts as a patient" in by_level(house.findings("patients"))["amber"][0]


def ct_house(house: House, count: int, **changes: object) -> None:
    """A site with CT slices of patients A, B, …, with air and tissue."""
    pixels = np.full((8, 8), 1064, np.uint16)
    for n in range(count):
        pixels[:4] = 24 + n
        patient = changes.get("patient") or f"SECRET{n // 2}"
        values = {key: value for key, value in changes.items() if key != "patient"}
        write_ct(house.folder / "ct" / f"SECRET{n}.dcm", pixels, patient, z=float(n), **values)
    labels = "\n".join(f"SECRET{n},{n % 2}" for n in range(count))
    (house.folder / "labels.csv").write_text(f"patient_id,label\n{labels}")
    house.write('kind = "dicom"\npath = "ct"\nlabels = "labels.csv"', 8)


DICOM = {"centre": "image", "slices": "all", "image_size": 28}


def look_of(house: House, **data: object) -> StudyLook:
    """A study of CT slices."""
    return house.look("dicom", CLASSES, **DICOM, **data)


def test_images_that_fit_are_green(house: House) -> None:
    ct_house(house, 16)
    found = by_level(house.findings("study", "columns", "cohort", "images", look=look_of(house)))
    assert found["red"] == []
    assert "16 CT images of 8 patients" in " ".join(found["green"])
    assert "pixel spacing 1 mm" in " ".join(found["green"])
    assert "fit the study's window" in " ".join(found["green"])


def test_text_in_the_picture_is_amber(house: House) -> None:
    """Counted for people, named in the private folder only."""
    scanned = {"SOPClassUID": CTImageStorage}
    ct_house(house, 16, **scanned)
    pixels = np.full((8, 8), 900, np.uint16)
    stated = {"BurnedInAnnotation": "YES", **scanned}
    for z in (50.0, 51.0, 52.0):  # the later ones are read as like the first
        write_ct(house.folder / "ct" / f"text{z:.0f}.dcm", pixels, "SECRET0", z=z, **stated)
    # a secondary capture, as the helper writes them
    write_ct(house.folder / "ct" / "new.dcm", pixels, "SECRET1", z=60.0)
    ambers = by_level(house.findings("cohort", "images", look=look_of(house)))["amber"]
    texts = " ".join(ambers)
    assert "3 images used: text is burnt into the image." in texts
    assert "1 images used: text may be burnt into the image." in texts
    assert "SECRET" not in texts
    named = (house.folder / ".consilium" / "doctor-main.csv").read_text()
    assert "text51.dcm,text is burnt into the image" in named
    page = (house.folder / ".consilium" / "quarantine-main.html").read_text()
    assert "3 images used: text is burnt into the image." in page


def test_spacing_intensity_and_identifiers_that_look_wrong(house: House) -> None:
    ct_house(house, 16, RescaleIntercept=0)
    pixels = np.full((8, 8), 5000, np.uint16)
    write_ct(house.folder / "ct" / "far.dcm", pixels, "SECRET0", z=50.0, PixelSpacing=[9, 9])
    shared = write_ct(house.folder / "ct" / "one.dcm", pixels, "SECRET1", z=60.0)
    write_ct(
        house.folder / "ct" / "other.dcm",
        pixels,
        "SECRET2",
        z=60.0,
        SOPInstanceUID=shared.SOPInstanceUID,
    )
    write_ct(house.folder / "ct" / "mr.dcm", pixels, "SECRET1", Modality="MR")
    found = by_level(house.findings("cohort", "images", look=look_of(house)))
    assert len(found["red"]) == 1
    assert "1 images (by UID) lie there under two patients" in found["red"][0]
    ambers = " ".join(found["amber"])
    assert "1 of 18 images have pixels far from the study's 1 mm (all: 1 to 9 mm)" in ambers
    assert "hold no air" in ambers
    assert "SECRET" not in ambers + found["red"][0]
    private = house.folder / ".consilium" / "doctor-main.csv"
    assert "far.dcm" in private.read_text()
    assert private.stat().st_mode & 0o777 == 0o600
    narrow = look_of(house, window_centre=30000.0, window_width=10.0)
    found = by_level(house.findings("cohort", "images", look=narrow))
    assert "lie outside the study's window" in " ".join(found["amber"])


def test_when_all_spacings_are_far_the_study_is_asked_not_the_images(house: House) -> None:
    ct_house(house, 16, PixelSpacing=[0.2, 0.2])
    found = by_level(house.findings("cohort", "images", look=look_of(house)))["amber"]
    (far,) = (text for text in found if "pixels far" in text)
    assert "16 of 16 images" in far
    assert "study and archive disagree" in far
    assert "scouts" not in far


@pytest.mark.parametrize("installed", [True, False])
def test_what_needs_dcmtk_is_one_amber_line(
    house: House, monkeypatch: pytest.MonkeyPatch, *, installed: bool
) -> None:
    """Whichever of its three encodings it is, and never red while other images decode."""
    tools = house.folder / "tools"  # a path, since the images are read by processes of their own
    tools.mkdir()
    if installed:
        (tools / dcmtk.TOOL).write_text("#!/bin/sh\nexit 1\n")
        (tools / dcmtk.TOOL).chmod(0o700)
    monkeypatch.setenv("PATH", str(tools))
    pool.end()
    ct_house(house, 16)
    pixels = np.full((8, 8), 900, np.uint16)
    for number, syntax in enumerate(dcmtk.SYNTAXES):
        path = house.folder / "ct" / f"packed{number}.dcm"
        made = write_ct(path, pixels, "SECRET0", z=50.0 + number)
        made.PixelData = encapsulate([JPEG])
        made["PixelData"].VR = "OB"
        made.file_meta.TransferSyntaxUID = UID(syntax)
        made.save_as(path, enforce_file_format=True)
    found = by_level(house.findings("cohort", "images", look=look_of(house)))
    pool.end()
    assert found["red"] == []
    about = [text for text in found["amber"] if "DCMTK" in text]
    assert len(about) == (not installed)
    assert not any("nothing here decodes" in text for text in found["amber"])
    if not installed:
        assert about[0].startswith("left out: 3 × needs DCMTK")
        assert "apt install dcmtk" in about[0].partition("|")[2]


def test_another_decoder_prepares_the_images_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct_house(house, 16)
    cohorts = house.folder / ".consilium" / "cohorts"
    house.findings("cohort", look=look_of(house))
    before = {path.name for path in cohorts.iterdir()}
    house.findings("cohort", look=look_of(house))
    assert {path.name for path in cohorts.iterdir()} == before
    monkeypatch.setattr(dcmtk, "TOOL", "no-such-tool" if dcmtk.installed() else "true")
    house.findings("cohort", look=look_of(house))
    assert {path.name for path in cohorts.iterdir()} > before


def test_advice_on_files_without_a_patient_is_about_files(house: House) -> None:
    ct_house(house, 16)
    write_ct(house.folder / "ct" / "nobody.dcm", np.full((8, 8), 9, np.uint16), "", z=70.0)
    found = by_level(house.findings("cohort", look=look_of(house)))["amber"]
    (line,) = (text for text in found if "no patient id" in text)
    assert "PatientID" in line
    assert "column" not in line
    page = (house.folder / ".consilium" / "quarantine-main.html").read_text()
    assert "PatientID" in page


def test_the_whole_study_and_its_page(house: House) -> None:
    ct_house(house, 16)
    study = house.folder / "study.toml"
    from common.study_file import dump_study

    study.write_text(dump_study(look_of(house).study))
    app = typer.Typer()
    app.command()(doctor)
    ran = CliRunner().invoke(app, [str(house.folder), "--study", str(study), "--json"])
    lines = json.loads(ran.stdout)
    assert {"cohort", "images", "memory", "study", "cache", "decoders"} <= {
        x["check"] for x in lines
    }
    assert ran.exit_code == next(x["exit_code"] for x in lines if x["level"] == "red")
    page = house.folder / ".consilium" / "doctor.html"
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    assert "must not leave the hospital" in text
    assert text.count("data:image/png;base64,") == 12
    assert "Pixel spacing" in text
    assert "SECRET" not in text + ran.stdout
    ran = CliRunner().invoke(app, [str(house.folder), "--study", str(study), "--data-only"])
    assert ran.exit_code == 0
    assert "keys" not in ran.stdout
    asked = house.folder / "elsewhere.html"
    page.unlink()
    CliRunner().invoke(app, [str(house.folder), "--html", str(asked), "--json"])
    assert asked.stat().st_mode & 0o777 == 0o600
    assert not page.exists()


def test_a_picture_is_a_png() -> None:
    planes = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    file = encoded(planes)
    (packed,) = re.findall(rb"IDAT(.*).{4}.{4}IEND", file, re.DOTALL)
    assert zlib.decompress(packed) == bytes([0, 0, 4, 8, 1, 5, 9, 0, 2, 6, 10, 3, 7, 11])
    content = thumbnail(np.zeros((1, 5, 200, 300), np.float32)).partition(",")[2]
    width, height = np.frombuffer(base64.b64decode(content)[16:24], ">u4")
    assert (width, height) == (75, 50)


def test_memory_cache_and_decoders(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays(house, drawn(8), list("abcdefgh"))
    look = house.look("arrays", CLASSES)
    found = by_level(house.findings("cohort", "memory", "cache", look=look))
    assert "the training samples take" in " ".join(found["green"])
    assert "prepared data are kept" in " ".join(found["green"])
    monkeypatch.setattr(memory, "_free", lambda device: (10, "this machine"))
    assert (
        "this machine has 0.0 MiB free" in by_level(house.findings("memory", look=look))["red"][0]
    )
    house.write(ARRAYS + "[compute]\ncache_gib = 0.00001")
    assert "do not fit the cache" in " ".join(
        by_level(house.findings("memory", look=look))["amber"]
    )
    house.write('kind = "dicom"\npath = "x"\nlabels = "y"')
    monkeypatch.setattr(decoders, "PLUG_INS", {"no_such_module": ("some-plug-in", "JPEG")})
    assert "pip install some-plug-in" in by_level(house.findings("decoders"))["amber"][0]


def test_a_budget_that_is_too_small_is_red(house: House) -> None:
    arrays(house, drawn(8), list("abcdefgh"))
    house.write(ARRAYS, 1000, "max_epsilon = 0.01\nmin_patients = 1")
    found = by_level(house.findings("study", look=house.look("arrays", CLASSES)))
    assert "does not fit the budget" in found["red"][0]
    house.write(ARRAYS, 1000)
    found = by_level(house.findings("study", look=house.look("arrays", CLASSES)))
    assert found["red"] == []
    assert "are left" in found["green"][-1]


def test_a_study_without_its_data_set_is_one_red_line(house: House) -> None:
    house.write('kind = "table"\npath = "t.csv"')
    checks = ("study", "columns", "units", "cohort", "repeats", "images", "memory")
    found = by_level(house.findings(*checks, look=house.look("arrays", CLASSES)))
    assert len(found["red"]) == 1


def test_the_half_that_has_no_data_does_not_look_at_them() -> None:
    assert {"cohort", "images", "patients"} <= LEFT_OUT[Half.SUPERNODE]


def test_windows_of_a_sensor_that_stands_still_are_nobodys() -> None:
    inputs = np.tile(np.float32([1, 1, 1, 1, 0.5]), (4, 1))
    inputs[2:] = [0.1, 0.2, 0.3, 0.4, 0.5]
    cohort = Cohort(
        inputs=inputs,
        targets=np.zeros(4, np.int64),
        patient=np.arange(4),
        is_test=np.array([False, True, False, True]),
        split_id="declared",
    )
    assert repeats(cohort).across == 2
    assert repeats(cohort, TELLING).across == 1
