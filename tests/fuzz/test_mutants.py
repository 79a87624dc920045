"""Thousands of broken files: each is read or named with a reason; nothing raises, hangs or grows.

`make fuzz` runs 10,000 of them; FUZZ_COUNT and FUZZ_SEED choose others.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mutants import mutants
from pydantic import TypeAdapter

from client.data.dicom.parallel import Recipe, read_samples
from client.data.dicom.select import cuts
from client.data.index.archive import archive
from client.data.quarantine import QuarantineLog
from common.data_spec import ImageSpec

COUNT = int(os.environ.get("FUZZ_COUNT", "120"))
SEED = int(os.environ.get("FUZZ_SEED", "5"))
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDER = 500
MOST_GROWTH_MB = 600


def peak_mb() -> float:
    """Largest resident memory that this process has had."""
    return float(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def read(folder: Path, spec: ImageSpec, log: QuarantineLog) -> int:
    """Read a folder as a site does; return how many samples there are."""
    with archive(folder, spec.modality) as found:
        found.refuse(log)
        chosen = [
            cut
            for patient in found.patients()
            for cut in cuts(found.slices(patient)[:200], (), spec, log)
        ]
    made = read_samples(chosen, Recipe(spec), log)
    assert np.isfinite(made.inputs).all()
    assert (np.abs(made.inputs) <= 1.0).all()
    return len(made.kept)


def test_mutants(tmp_path: Path) -> None:
    spec: ImageSpec = TypeAdapter(ImageSpec).validate_python(
        {"kind": "dicom", "image_size": 16, "window_centre": 0, "window_width": 4000}
    )
    began, samples, reasons = peak_mb(), 0, Counter[str]()
    made = mutants(COUNT, SEED, SHARED if SHARED.is_dir() else None)
    for start in range(0, COUNT, FOLDER):
        folder = tmp_path / str(start)
        folder.mkdir()
        for number in range(min(FOLDER, COUNT - start)):
            (folder / f"{number:05d}").write_bytes(next(made))
        log = QuarantineLog()
        samples += read(folder, spec, log)
        reasons.update(log.result().counts)
        for file in folder.iterdir():
            file.unlink()
    print(f"\n{COUNT} mutants: {samples} samples read; left out: {dict(reasons.most_common())}")
    assert samples
    assert reasons
    assert not [reason for reason in reasons if "\n" in reason or "zz-" in reason]
    assert peak_mb() - began < MOST_GROWTH_MB


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_malformed_files_of_the_world(modality: str) -> None:
    spec: ImageSpec = TypeAdapter(ImageSpec).validate_python(
        {"kind": "dicom", "image_size": 16, "modality": modality}
    )
    log = QuarantineLog()
    read(SHARED / "dicom" / "malformed", spec, log)
    assert log.result().total
