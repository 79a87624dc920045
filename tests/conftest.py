"""What most tests need: a small study as nested tables, and a small hospital on disk."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.site import Site, load_site
from common.study import Study
from common.study_file import parse_study

SIDE = 8

ARRAYS: dict[str, Any] = {
    "study": {"name": "small", "seed": 5},
    "task": {"name": "classification", "classes": ["no", "yes"]},
    "model": {"name": "linear"},
    "data": {"kind": "arrays", "image_size": SIDE, "test_fraction": 0.25},
    "training": {"learning_rate": 0.1, "local_steps": 3, "physical_batch": 16},
    "privacy": {
        "noise_multiplier": 1.0,
        "delta": 1e-3,
        "sampling_rate": "1/4",
        "samples_per_patient": 4,
    },
    "federation": {"rounds": 2, "min_sites": 1},
    "evaluation": {"score_bins": 8, "epsilon": 4.0},
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with nested changes; None removes a key."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


@pytest.fixture(scope="session")
def content() -> Callable[..., dict[str, Any]]:
    """The function that returns a study's tables, with some keys changed: `content(data={…})`."""
    return lambda **sections: merged(ARRAYS, sections)


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    """The function that returns a study, with some keys changed."""
    return lambda **sections: parse_study(merged(ARRAYS, sections), where="test")


def patient_names(count: int) -> list[str]:
    """Identifiers that no other text contains."""
    return [f"ZQX-patient-{number:04d}-Meier" for number in range(count)]


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    """The function that writes a hospital of images with several images a patient, and loads it."""

    def make(*, patients: int = 40, declared: int = 40, name: str = "north", **policy: Any) -> Site:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng(3)
        each = rng.integers(1, 4, patients)
        label = np.repeat(np.arange(patients) % 2, each)
        images = rng.normal(100 + 40 * label[:, None, None], 30, (each.sum(), SIDE, SIDE))
        names = np.repeat(np.array(patient_names(patients)), each)
        stored = np.clip(images, 0, 255).astype(np.uint8)
        np.savez(folder / "scans.npz", images=stored, labels=label, patients=names)
        limits = {"max_epsilon": 50.0, "delta": 1e-3, "min_patients": 5, **policy}
        (folder / "site.toml").write_text(
            f'[site]\nname = "{name}"\n[data.scans]\nkind = "arrays"\npath = "scans.npz"\n'
            f"declared_patients = {declared}\n[policy]\n"
            + "".join(f"{key} = {_toml(value)}\n" for key, value in limits.items())
            + '[compute]\ndevice = "cpu"\n'
        )
        return load_site(folder)

    return make


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
