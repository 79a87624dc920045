"""Arrays: splits, parts, shapes and labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data.cohort import Cohort
from common.errors import DataError

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {"kind": "arrays", "image_size": 4}
SITE = 'kind = "arrays"\npath = "a.npz"\n'
TEN = np.arange(160, dtype=np.uint8).reshape(10, 4, 4)


def test_scale_and_patients(build: Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=TEN, labels=np.arange(10) % 2, patients=np.arange(10) // 2)
    cohort = build(SITE, {**SPEC, "value_max": 159}, ["no", "yes"])
    assert (cohort.patients, cohort.samples, cohort.inputs.shape) == (5, 10, (10, 1, 4, 4))
    assert (float(cohort.inputs.min()), float(cohort.inputs.max())) == (-1.0, 1.0)


def test_a_site_may_name_the_keys_of_its_file(build: Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=TEN, y=np.arange(10) % 2)
    cohort = build(SITE + 'images = "x"\nlabels = "y"\n', SPEC, ["no", "yes"])
    assert cohort.samples == 10


def test_parts_are_disjoint_and_complete(build: Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=TEN, labels=np.zeros((10, 1), int))
    parts = [build(SITE + f'part = "{i}/3"\n', SPEC).inputs[:, 0, 0, 0] for i in (1, 2, 3)]
    assert sorted(map(len, parts)) == [3, 3, 4]
    assert len(set(np.concatenate(parts).tolist())) == 10
    other = build(SITE + 'part = "1/3"\npart_seed = 1\n', SPEC).inputs[:, 0, 0, 0]
    assert set(other.tolist()) != set(parts[0].tolist())


def test_declared_splits(build: Build, tmp_path: Path) -> None:
    blocks = {f"{s}_images": TEN[:n] for s, n in (("train", 5), ("val", 2), ("test", 3))}
    labels = {f"{s}_labels": np.zeros(n, int) for s, n in (("train", 5), ("val", 2), ("test", 3))}
    np.savez(tmp_path / "a.npz", **blocks, **labels)  # type: ignore[arg-type]
    cohort = build(SITE, SPEC)
    assert (cohort.count("train"), cohort.count("test"), cohort.split_id) == (7, 3, "declared")
    assert build(SITE + 'splits = ["train"]\n', SPEC).split_id == "hash:0.25"


def test_colour(build: Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 4, 4, 3), np.uint8), labels=np.zeros(3, int))
    assert build(SITE, {**SPEC, "channels": 3}).inputs.shape == (3, 3, 4, 4)
    with pytest.raises(DataError, match=r"\(3, 4, 4\)"):
        build(SITE, SPEC)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"image": TEN, "labels": np.zeros(10)}, "Did you mean 'image'?"),
        ({"images": TEN, "labels": np.zeros(9)}, "10 images, 9 labels"),
        ({"images": TEN, "labels": np.full(10, 2)}, "10 labels are not class numbers"),
        ({"images": TEN, "labels": np.full(10, 0.5)}, "10 labels are not class numbers"),
        ({"images": TEN, "labels": np.array(["maybe"] * 10)}, "'maybe'"),
        ({"images": TEN, "labels": np.zeros((10, 3))}, "several labels"),
        ({"images": TEN.astype(str), "labels": np.zeros(10)}, "numbers"),
        ({"images": TEN, "labels": np.array([None] * 10)}, "Python objects"),
        ({"images": TEN[:0], "labels": np.zeros(0)}, "No patient"),
    ],
)
def test_messages(build: Build, tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError) as caught:
        build(SITE, SPEC, ["no", "yes"])
    assert said in str(caught.value)


def test_not_an_archive(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(DataError, match=r"not an \.npz"):
        build(SITE, SPEC)


def test_medmnist(build: Build, shared: Path) -> None:
    site = f'kind = "arrays"\npath = "{shared}/medmnist/breastmnist.npz"\n'
    cohort = build(site, {"kind": "arrays", "image_size": 28}, ["malignant", "normal"])
    assert (cohort.count("train"), cohort.count("test")) == (624, 156)
