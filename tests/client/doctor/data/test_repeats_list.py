"""What is there twice is named, in the private folder only."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from doctor_house import House, by_level, write_ct

from client.audit.identifiers_report import holding_identifiers
from client.doctor.data import repeats_list
from client.site import load_site

CLASSES = ("no", "yes")


def rows(house: House) -> list[list[str]]:
    """The list without its head; it is for its owner only, and the audit spares it."""
    path = house.folder / ".consilium" / "doctor-repeats-main.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path in holding_identifiers(load_site(house.folder))
    with path.open(encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def test_samples_are_named_by_patient_and_number(house: House) -> None:
    images = np.random.default_rng(3).integers(0, 256, (40, 28, 28)).astype(np.uint8)
    patients = [f"SECRET{n // 2}" for n in range(40)]
    images[5], images[31] = images[4], images[10]  # twice under SECRET2; SECRET5 and SECRET15
    np.savez(
        house.folder / "x.npz", images=images, labels=np.arange(40) % 2, patients=np.array(patients)
    )
    house.write('kind = "arrays"\npath = "x.npz"\n', 20)
    look = house.look("arrays", CLASSES)
    found = house.findings("cohort", "repeats", look=look)
    assert "SECRET" not in str(found)
    assert ".consilium/doctor-repeats-main.csv" in by_level(found)["green"][-1]
    assert len(rows(house)) == 2
    one, other = sorted(rows(house), key=lambda row: row[0] != "twice under one patient")
    assert one == ["twice under one patient", "SECRET2", "sample 2", "SECRET2", "sample 1"]
    assert other[0] in ("under two patients", "in training and held out")
    assert {(other[1], other[2]), (other[3], other[4])} == {
        ("SECRET5", "sample 1"),
        ("SECRET15", "sample 2"),
    }


def ct(house: House) -> None:
    """Eight patients with two slices each; one file lies there twice, and one under another patient."""
    for n in range(16):
        pixels = np.random.default_rng(n).integers(0, 2000, (8, 8)).astype(np.uint16)
        write_ct(house.folder / "ct" / f"file{n}.dcm", pixels, f"SECRET{n // 2}", z=float(n))
    again = np.random.default_rng(0).integers(0, 2000, (8, 8)).astype(np.uint16)
    write_ct(house.folder / "ct" / "copy.dcm", again, "SECRET0", z=90.0)
    write_ct(house.folder / "ct" / "other.dcm", again, "SECRET7", z=91.0)
    labels = "\n".join(f"SECRET{n},{n % 2}" for n in range(8))
    (house.folder / "labels.csv").write_text(f"patient_id,label\n{labels}")
    house.write('kind = "dicom"\npath = "ct"\nlabels = "labels.csv"', 8)


def test_images_are_named_by_their_files(house: House) -> None:
    ct(house)
    look = house.look("dicom", CLASSES, centre="image", slices="all", image_size=28)
    found = house.findings("cohort", "repeats", look=look)
    assert "file" not in str([each for each in found if "repeat" in each.text and each.fix])
    named = {name for row in rows(house) for name in (row[2], row[4])}
    assert named == {"file0.dcm", "copy.dcm", "other.dcm"}
    assert {row[1] for row in rows(house)} | {row[3] for row in rows(house)} == {
        "SECRET0",
        "SECRET7",
    }


def test_without_repeats_there_is_no_list(house: House) -> None:
    images = np.random.default_rng(3).integers(0, 256, (8, 28, 28)).astype(np.uint8)
    np.savez(house.folder / "x.npz", images=images, labels=np.arange(8) % 2)
    house.write('kind = "arrays"\npath = "x.npz"\n', 8)
    house.findings("cohort", "repeats", look=house.look("arrays", CLASSES))
    assert not (house.folder / ".consilium" / "doctor-repeats-main.csv").exists()


def test_a_list_that_cannot_be_written_is_said(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.zeros((8, 28, 28), np.uint8)
    images[:, 0] = 9
    np.savez(house.folder / "x.npz", images=images, labels=np.arange(8) % 2)
    house.write('kind = "arrays"\npath = "x.npz"\n', 8)
    folder = house.folder / "nothing" / "here"
    monkeypatch.setattr(repeats_list, "private_folder", lambda site: Path("/proc") / folder.name)
    found = by_level(house.findings("cohort", "repeats", look=house.look("arrays", CLASSES)))
    assert any("list of them could not be written" in text for text in found["amber"])
