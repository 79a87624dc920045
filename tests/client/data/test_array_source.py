"""Arrays: splits, parts, shapes and labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data.cohort import Cohort
from common.errors import DataError, StudyError

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


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0.0, np.nan, 1.0, 0.0, np.nan, 1.0, 0.0, 1.0, 0.0, 1.0]),
        np.array(["no", "", " yes", "no", "NaN", "Yes", "no", "yes", "no", "yes "]),
        np.array([b"no", b"", b"yes", b"no", b"na", b"yes", b"no", b"yes", b"no", b"yes"]),
        np.array(["0.0", "", "1.0", "0.0", "nan", "1.0", "0.0", "1.0", "0.0", "1.0"]),
    ],
    ids=["numbers", "words", "bytes", "numbers as words"],
)
def test_an_image_without_a_label_stops_nobody_else(
    build: Build, tmp_path: Path, labels: np.ndarray
) -> None:
    np.savez(tmp_path / "a.npz", images=TEN, labels=labels, patients=np.arange(10) // 2)
    cohort = build(SITE, SPEC, ["no", "yes"])
    assert dict(cohort.quarantine.counts) == {"image without a label": 2}
    assert cohort.quarantine.details[0][0] == "image 2"
    assert (cohort.patients, sorted(cohort.targets.tolist())) == (5, [0] * 4 + [1] * 4)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (TEN.astype(np.uint16) * 300 + 256, "Most values of the images are outside value_min 0 to"),
        (TEN / np.float32(255), "The images fill less than 2% of value_min 0 to value_max 255"),
        (TEN, ""),
    ],
    ids=["16 bits", "shares", "as the study says"],
)
def test_a_range_that_is_not_the_study_s_is_said(
    build: Build, tmp_path: Path, images: np.ndarray, said: str
) -> None:
    """Sixteen bits clipped at 255, or shares of one taken for 255 parts, leave nothing to learn from."""
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(10) % 2)
    notes = " ".join(build(SITE, SPEC, ["no", "yes"]).notes)
    assert said in notes
    assert said or "value_m" not in notes


def test_a_folder_and_wrong_words_get_advice_that_fits_a_file_of_arrays(
    build: Build, tmp_path: Path
) -> None:
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(DataError, match=r"a folder, not an \.npz file"):
        build(SITE, SPEC)
    (tmp_path / "a.npz").rmdir()
    np.savez(tmp_path / "a.npz", images=TEN, labels=np.array(["maybe"] * 10))
    with pytest.raises(DataError) as caught:
        build(SITE, SPEC, ["no", "yes"])
    assert "Write these into the file" in caught.value.fix
    assert "replace" not in caught.value.fix


def test_not_an_archive(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(DataError, match=r"not an \.npz"):
        build(SITE, SPEC)


def test_medmnist(build: Build, shared: Path) -> None:
    site = f'kind = "arrays"\npath = "{shared}/medmnist/breastmnist.npz"\n'
    cohort = build(site, {"kind": "arrays", "image_size": 28}, ["malignant", "normal"])
    assert (cohort.count("train"), cohort.count("test")) == (624, 156)


def test_uneven_parts_are_disjoint_complete_and_unlike(build: Build, tmp_path: Path) -> None:
    images = np.arange(400 * 16, dtype=np.float32).reshape(400, 4, 4)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(400) % 2)
    spec, skew = {**SPEC, "value_max": 6400}, "part_alpha = 0.5\npart_seed = 3\n"
    parts = [build(SITE + f'part = "{i}/4"\n{skew}', spec, ["no", "yes"]) for i in (1, 2, 3, 4)]
    assert len(set(np.concatenate([part.inputs[:, 0, 0, 0] for part in parts]).tolist())) == 400
    assert sum(part.patients for part in parts) == 400
    assert min(part.patients for part in parts) >= 10
    shares = [float(part.targets.mean()) for part in parts]
    assert max(shares) - min(shares) > 0.3
    alike = [build(SITE + f'part = "{i}/4"\n', spec, ["no", "yes"]) for i in (1, 2, 3, 4)]
    even = [float(part.targets.mean()) for part in alike]
    assert max(even) - min(even) < max(shares) - min(shares)


def test_a_patient_is_never_in_two_uneven_parts(build: Build, tmp_path: Path) -> None:
    patients = np.arange(200) // 2
    images = np.broadcast_to(patients[:, None, None], (200, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(200) % 2, patients=patients)
    seen = [
        set(build(f'{SITE}part = "{i}/2"\npart_alpha = 1\n', SPEC).inputs[:, 0, 0, 0].tolist())
        for i in (1, 2)
    ]
    assert not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) == 100


def test_parts_that_cannot_be_drawn_are_refused(build: Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=TEN, labels=np.zeros(10, int))
    with pytest.raises(DataError, match="cannot be cut"):
        build(SITE + 'part = "1/11"\npart_alpha = 1\n', SPEC)
    with pytest.raises(StudyError, match="goes with part"):
        build(SITE + "part_alpha = 1\n", SPEC)


FINDINGS = {**SPEC, "labels": "classes"}


def test_findings(build: Build, tmp_path: Path) -> None:
    labels = np.tile([[1.0, 0.0], [np.nan, -1.0]], (5, 1))
    np.savez(tmp_path / "a.npz", images=TEN, labels=labels)
    cohort = build(SITE, FINDINGS, ["effusion", "nodule"])
    assert cohort.targets.dtype == np.float32
    assert sorted(cohort.targets.tolist()) == [[-1.0, -1.0]] * 5 + [[1.0, 0.0]] * 5
    with pytest.raises(DataError, match="the study has 3 findings"):
        build(SITE, FINDINGS, ["a", "b", "c"])
    np.savez(tmp_path / "a.npz", images=TEN, labels=np.full((10, 2), 2))
    with pytest.raises(DataError, match="20 labels are neither"):
        build(SITE, FINDINGS, ["effusion", "nodule"])


def test_images_without_labels(build: Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=TEN)
    assert build(SITE, {**SPEC, "labels": "none"}).targets.tolist() == [0] * 10


MASKED: dict[str, Any] = {**SPEC, "labels": "mask", "structures": ["lung", "nodule"]}


def test_masks_need_no_labels(build: Build, tmp_path: Path) -> None:
    masks = (TEN % 3).astype(np.int64)
    np.savez(tmp_path / "a.npz", images=TEN, masks=masks, patients=np.arange(10) // 2)
    cohort = build(SITE, MASKED)
    assert cohort.targets.dtype == np.uint8
    values = np.rint((cohort.inputs[:, 0] + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(cohort.targets, values % 3)
    part = build(SITE + 'masks = "masks"\npart = "1/2"\n', MASKED)
    assert len(part.targets) == part.samples < 10


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.full((10, 4, 4), 3), "not from 0 to 2"),
        (np.full((10, 4, 4), -1), "not from 0 to 2"),
        (np.zeros((10, 4, 5), int), "the study wants whole numbers"),
        (np.zeros((10, 4, 4)), "the study wants whole numbers"),
        (np.zeros((9, 4, 4), int), "10 images, 9 masks"),
        (None, "no array 'masks'"),
    ],
)
def test_masks_that_do_not_fit(build: Build, tmp_path: Path, masks: Any, message: str) -> None:
    np.savez(tmp_path / "a.npz", images=TEN, **({} if masks is None else {"masks": masks}))
    with pytest.raises(DataError, match=message):
        build(SITE, MASKED)
