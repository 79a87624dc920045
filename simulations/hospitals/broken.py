"""The files that every real archive has and no study can use; a reader must set them aside.

None of them belongs to a patient with a label, so what is lost with them is nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from simulations.hospitals.ct_file import Series, uid, write_series
from simulations.hospitals.phantom import Volume
from simulations.hospitals.plan import HospitalPlan

KINDS = ("truncated", "not-dicom", "no-pixels", "screenshot")


def write_broken(folder: Path, plan: HospitalPlan, archive: str) -> int:
    """Write one file of each kind into `folder`; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:08d}" for number in range(90_000_001, 90_000_001 + len(KINDS))]
    _write_copies(paths, plan, archive)
    _truncate(paths[0])
    paths[1].write_bytes(b"Scanned with the old archive; see the paper record.\r\n" * 40)
    _drop_pixels(paths[2])
    _make_screenshot(paths[3], plan, archive)
    return len(paths)


def _write_copies(paths: list[Path], plan: HospitalPlan, archive: str) -> None:
    scanner = plan.scanner
    series = Series(
        key=f"{plan.seed}/{plan.index}/{archive}/broken",
        patient=plan.identifier(archive, -1),
        sex="F",
        age=60,
        origin=(0.0, 0.0, 0.0),
        spacing=scanner.spacing,
        thickness=scanner.thickness,
    )
    noise = plan.random(archive, 10**6).standard_normal((len(paths), 64, 64), dtype=np.float32)
    volume: Volume = -700 + 100 * noise
    write_series(series, volume, scanner, paths)


def _truncate(path: Path) -> None:
    """A copy that broke off: the header is whole, most pixels are missing."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])


def _drop_pixels(path: Path) -> None:
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)


def _make_screenshot(path: Path, plan: HospitalPlan, archive: str) -> None:
    """A secondary capture (modality OT), as dose reports and key images are."""
    dataset = dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.SeriesInstanceUID = uid(plan.seed, plan.index, archive, "screenshot")
    dataset.Modality = "OT"
    dataset.save_as(path)
