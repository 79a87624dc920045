"""Hospitals and a study so small that a whole run takes a fraction of a second."""

from __future__ import annotations

import copy
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from common.study import Study
from common.study_file import parse_study

NAMES = ("hospital-1", "hospital-2", "hospital-3")
SECRET_WORD = "ZZPATIENT"
"""Part of every invented patient identifier: it must not be found in anything that a run writes."""

STUDY: dict[str, Any] = {
    "study": {"name": "tiny", "seed": 5},
    "task": {"name": "classification", "classes": ["round", "square"]},
    "model": {"name": "mlp", "hidden": [4]},
    "data": {"kind": "arrays", "image_size": 6, "test_fraction": 0.3},
    "training": {"learning_rate": 0.2, "local_steps": 3, "batch_size": 8},
    "privacy": {
        "noise_multiplier": 1.0,
        "delta": 1e-3,
        "sampling_rate": "1/4",
        "samples_per_patient": 2,
    },
    "federation": {"rounds": 3, "min_sites": 2},
    "evaluation": {"score_bins": 10},
}
POLICY: dict[str, Any] = {
    "max_epsilon": 50.0,
    "delta": 1e-3,
    "min_patients": 5,
    "allow_non_private": True,
    "statistics": "exact",
}
Sections = dict[str, dict[str, Any]]


def changed(content: dict[str, Any], changes: Sections) -> dict[str, Any]:
    """Return a copy with keys of its tables replaced; None drops a key."""
    result = copy.deepcopy(content)
    for name, table in changes.items():
        merged = {**result.get(name, {}), **table}
        result[name] = {key: value for key, value in merged.items() if value is not None}
    return result


def tiny_study(**sections: dict[str, Any]) -> Study:
    """Return the study, private, with some keys replaced."""
    return parse_study(changed(STUDY, sections), where="test")


def write_study(path: Path, **sections: dict[str, Any]) -> Path:
    """Write the study as a file."""
    path.write_text(tomli_w.dumps(changed(STUDY, sections)))
    return path


def write_site(
    folder: Path, name: str, seed: int, *, patients: int = 40, policy: dict[str, Any] | None = None
) -> Path:
    """Write one hospital: two small grey images of every patient, whose middle tells the class."""
    random = np.random.default_rng(seed)
    labels = np.repeat(random.integers(0, 2, patients), 2)
    images = random.integers(0, 120, (2 * patients, 6, 6))
    images[:, 2:4, 2:4] += 90 * labels[:, None, None]
    owner = np.repeat([f"{SECRET_WORD}{seed:02d}{n:04d}" for n in range(patients)], 2)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "scans.npz", images=images.astype(np.uint8), labels=labels, patients=owner)
    content = {
        "site": {"name": name},
        "data": {"kind": "arrays", "path": "scans.npz", "declared_patients": patients},
        "policy": {**POLICY, **(policy or {})},
    }
    (folder / "site.toml").write_text(tomli_w.dumps(content))
    return folder


def write_hospitals(folder: Path, **keys: Any) -> Path:
    """Write three hospitals of 40, 50 and 60 patients."""
    for number, name in enumerate(NAMES):
        write_site(folder / name, name, number + 1, **{"patients": 40 + 10 * number, **keys})
    return folder


def sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by its relative path."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Make a folder where a flush to the disk costs nothing, if the machine has one; ledgers flush often."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    with tempfile.TemporaryDirectory(prefix="tiny-", dir=memory if roomy else None) as made:
        yield Path(made)
