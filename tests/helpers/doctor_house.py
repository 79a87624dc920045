"""A hospital in a folder, with data of any kind, for the doctor to look at."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicom_kinds import Pixels, image, save
from pydicom.dataset import FileDataset

from client.doctor.data.look import StudyLook
from client.doctor.examine import CHECKS, examine
from client.doctor.findings import Finding
from common.study_file import parse_study
from common.study_template import template

PRIVACY = "allow_non_private = true\nmin_patients = 1\nmax_epsilon = 100.0\ndelta = 1e-5"


class House:
    """A site in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        private = folder / ".consilium"
        private.mkdir(mode=0o700)
        (private / "secret").write_bytes(b"a site's secret of 32 bytes.....")

    def write(self, data: str, patients: int = 10, policy: str = PRIVACY) -> None:
        """Write the site.toml."""
        text = f'[site]\nname = "house"\n[policy]\n{policy}\n[data.main]\ndeclared_patients = {patients}\n{data}'
        (self.folder / "site.toml").write_text(text, encoding="utf-8")

    def look(self, kind: str, classes: Sequence[str] = (), **data: Any) -> StudyLook:
        """A study of a kind of data; `data` changes its section."""
        content = tomllib.loads(template(kind, "trial"))
        content["data"].update(data)
        if classes:
            content["task"]["classes"] = list(classes)
        return StudyLook(parse_study(content, where="trial"))

    def findings(self, *checks: str, look: StudyLook | None = None) -> list[Finding]:
        """What some checks say."""
        chosen = {name: CHECKS[name] for name in checks}
        return [finding for _, finding in examine(self.folder, chosen, look=look)]


def write_ct(
    path: Path, pixels: Pixels, patient: str, z: float = 0.0, **elements: Any
) -> FileDataset:
    """Write one CT slice; HU = stored - 1024 unless `elements` say otherwise."""
    geometry = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, z]}
    usual = {"PixelSpacing": [1, 1], "RescaleSlope": 1, "RescaleIntercept": -1024, **geometry}
    made = image(patient, "CT", pixels, **{**usual, **elements})
    save(made, path)
    return made


def by_level(found: list[Finding]) -> dict[str, list[str]]:
    """Texts with their fixes, by level; every red line has a fix and a class."""
    assert all(each.fix and each.exit_code for each in found if each.level == "red")
    return {
        level: [f"{each.text} | {each.fix}" for each in found if each.level == level]
        for level in ("green", "amber", "red")
    }
