"""Writes many CT files fast: a few genuine slices, copied with other identifiers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from simulations.hospitals.ct_file import Series, write_series
from simulations.hospitals.scanner import SCANNERS

PATIENT = "bench-{:06d}"


def write_archive(root: Path, *, patients: int, slices: int, side: int) -> None:
    """Write `patients` series of `slices` files, nested as an export nests them.

    Args:
        root: the folder, which is made.
        patients: how many.
        slices: files of each.
        side: rows and columns of an image.
    """
    templates, tails = _templates(slices, side)
    for patient in range(patients):
        folder = root / f"D{patient % 10:03d}" / f"S{patient:06d}"
        folder.mkdir(parents=True)
        for number, content in enumerate(templates):
            made = content.replace(PATIENT.format(0).encode(), PATIENT.format(patient).encode())
            for tail in tails[number]:  # the last digits of its own and of the series' UID
                made = made.replace(tail, tail[:-6] + f"{patient:06d}".encode())
            (folder / f"{number:06d}").write_bytes(made)


def _templates(slices: int, side: int) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    from pydicom import dcmread

    rng = np.random.default_rng(0)
    volume = -700 + 100 * rng.standard_normal((slices, side, side), dtype=np.float32)
    series = Series("bench", PATIENT.format(0), "F", 60, (0.0, 0.0, 0.0), 0.8, 2.5)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(slices)]
        write_series(series, volume, SCANNERS[0], paths)
        heads = [dcmread(path, stop_before_pixels=True) for path in paths]
        uids = [(str(h.SOPInstanceUID).encode(), str(h.SeriesInstanceUID).encode()) for h in heads]
        return [path.read_bytes() for path in paths], uids
