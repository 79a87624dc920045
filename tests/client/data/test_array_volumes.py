"""Volumes in .npz files: the study's depth says what they are, and never their number of axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from client.data.cohort import Cohort
from client.data.config import ArrayDataset
from client.use.inputs import reader_of
from common.data_spec import ArraySpec, DataSpec
from common.errors import DataError
from common.tasks.surfaces import grid_of

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {"kind": "arrays", "image_size": [4, 5], "depth": 3}
SITE = 'kind = "arrays"\npath = "a.npz"\n'
TEN = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 5)).astype(np.uint8)
WORDS = ["no", "yes"]


def stored(cohort: Cohort) -> np.ndarray:
    """The values of the first channel as they were in the file."""
    return np.rint((cohort.inputs[:, 0] + 1) * 127.5).astype(np.uint8)


def test_volumes_stay_as_they_lie(build: Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=TEN, labels=np.arange(10) % 2, patients=np.arange(10) // 2)
    cohort = build(SITE, SPEC, WORDS)
    assert (cohort.patients, cohort.inputs.shape) == (5, (10, 1, 3, 4, 5))
    assert sorted(stored(cohort).reshape(10, -1).tolist()) == sorted(TEN.reshape(10, -1).tolist())


def test_files_like_medmnist_3d_in_three_parts(build: Build, tmp_path: Path) -> None:
    """Its splits hold, and every volume is in one part."""
    counts = {"train": 6, "val": 1, "test": 3}
    start, arrays = 0, {}
    for split, count in counts.items():
        arrays[f"{split}_images"] = TEN[start : start + count]
        arrays[f"{split}_labels"] = np.zeros((count, 1), np.uint8)
        start += count
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    whole = build(SITE, SPEC, WORDS)
    assert (whole.count("train"), whole.count("test"), whole.split_id) == (7, 3, "declared")
    parts = [stored(build(f'{SITE}part = "{i}/3"\n', SPEC, WORDS)) for i in (1, 2, 3)]
    assert sorted(np.concatenate(parts).reshape(10, -1).tolist()) == sorted(
        TEN.reshape(10, -1).tolist()
    )


@pytest.mark.parametrize("axis", [1, -1], ids=["colours first", "colours last"])
def test_colours_of_volumes(build: Build, tmp_path: Path, axis: int) -> None:
    colours = np.stack([TEN, 255 - TEN, TEN], axis)
    np.savez(tmp_path / "a.npz", images=colours, labels=np.zeros(10, int))
    cohort = build(SITE, {**SPEC, "channels": 3}, WORDS)
    assert cohort.inputs.shape == (10, 3, 3, 4, 5)
    np.testing.assert_allclose(cohort.inputs[:, 1], -cohort.inputs[:, 0], atol=1e-6)


def test_three_columns_are_no_colours(build: Build, tmp_path: Path) -> None:
    colours = np.stack([TEN[..., :3], 255 - TEN[..., :3], TEN[..., :3]], 1)
    np.savez(tmp_path / "a.npz", images=colours, labels=np.zeros(10, int))
    cohort = build(SITE, {**SPEC, "image_size": [4, 3], "channels": 3}, WORDS)
    np.testing.assert_allclose(cohort.inputs[:, 1], -cohort.inputs[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("study", "shape"),
    [
        ({"depth": 3, "image_size": 4}, (10, 1, 3, 4, 4)),
        ({"depth": 3, "image_size": 4, "channels": 3}, (10, 3, 3, 4, 4)),
        ({"image_size": 4, "channels": 3}, (10, 3, 4, 4)),
    ],
    ids=["volumes", "volumes in three equal channels", "colours"],
)
def test_three_layers_or_three_colours_as_the_study_says(
    build: Build, tmp_path: Path, study: dict[str, Any], shape: tuple[int, ...]
) -> None:
    np.savez(tmp_path / "a.npz", images=TEN[..., :4], labels=np.zeros(10, int))
    assert build(SITE, {"kind": "arrays", **study}, WORDS).inputs.shape == shape


@pytest.mark.parametrize(
    ("images", "changes", "fix"),
    [
        (TEN, {"depth": None}, "Set image_size and channels"),
        (np.repeat(TEN, 3, 1), {"depth": None}, "look like volumes: set depth = 9 in the study"),
        (TEN[:, None], {"depth": None}, "look like volumes: set depth = 3 in the study"),
        (TEN[..., None], {"depth": None}, "look like volumes: set depth = 3 in the study"),
        (TEN, {"depth": 2}, "Set depth, image_size and channels in the study"),
        (TEN.transpose(0, 3, 2, 1), {}, "Set depth, image_size and channels in the study"),
        (TEN[:, 0], {}, "are images, not volumes: leave depth out"),
        (np.moveaxis(TEN, 1, -1), {}, "Of images, leave depth out. Set depth, image_size"),
        (TEN.astype(str), {}, ""),
    ],
)
def test_other_shapes_are_refused_with_what_to_change(
    build: Build, tmp_path: Path, images: np.ndarray, changes: dict[str, Any], fix: str
) -> None:
    np.savez(tmp_path / "a.npz", images=images, labels=np.zeros(10, int))
    with pytest.raises(DataError, match="the study wants numbers of") as caught:
        build(SITE, {**SPEC, **changes}, WORDS)
    assert fix in caught.value.fix


def test_masks_of_volumes_lie_on_their_grid(build: Build, tmp_path: Path) -> None:
    masked = {**SPEC, "labels": "mask", "structures": ["nodule"]}
    np.savez(tmp_path / "a.npz", images=TEN, masks=(TEN > 200).astype(np.uint8))
    cohort = build(SITE, masked)
    np.testing.assert_array_equal(cohort.targets, stored(cohort) > 200)
    grid = grid_of(TypeAdapter(DataSpec).validate_python(masked))
    assert (grid.shape, grid.unit) == ((3, 4, 5), "px")
    np.savez(tmp_path / "a.npz", images=TEN, masks=(TEN[:, 0] > 200).astype(np.uint8))
    with pytest.raises(DataError, match=r"shape \(4, 5\); the study wants whole numbers of \(3, 4"):
        build(SITE, masked)


def test_points_of_volumes_have_a_slice(build: Build, tmp_path: Path) -> None:
    spec = {**SPEC, "labels": "points", "structures": ["nodule"], "max_points": 1}
    np.savez(tmp_path / "a.npz", images=TEN, points=np.tile([1.0, 3.0, 2.0, 1.0], (10, 1, 1)))
    expected = [1.5 / 3, 3.5 / 4, 2.5 / 5, 1 / 5]
    np.testing.assert_allclose(build(SITE, spec).targets, np.tile(expected, (10, 1, 1)), atol=1e-6)
    np.savez(tmp_path / "a.npz", images=TEN, points=np.ones((10, 1, 3)))
    with pytest.raises(DataError, match=r"numbers of \(points, 4\)") as caught:
        build(SITE, spec)
    assert "slice, row" in caught.value.fix


def test_volumes_without_a_label_are_left_out_and_a_wrong_range_is_said(
    build: Build, tmp_path: Path
) -> None:
    labels = np.array([np.nan, *np.zeros(9)])
    np.savez(tmp_path / "a.npz", images=TEN / np.float32(255), labels=labels)
    cohort = build(SITE, SPEC, WORDS)
    assert dict(cohort.quarantine.counts) == {"image without a label": 1}
    assert "The volumes fill less than 2% of value_min 0 to" in " ".join(cohort.notes)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_new_volumes_need_no_labels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"new{suffix}"
    if suffix == ".npy":
        np.save(path, TEN)
    else:
        np.savez(path, images=TEN)
    dataset = ArrayDataset(kind="arrays", path=path, declared_patients=1)
    spec = ArraySpec.model_validate({**SPEC, "labels": "mask", "structures": ["nodule"]})
    cases = reader_of("arrays")(dataset, spec)
    assert cases.inputs.shape == (10, 1, 3, 4, 5)
    assert len(cases.names) == 10


def test_an_npy_file_has_no_labels_to_learn_from(build: Build, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", TEN)
    with pytest.raises(DataError, match="There is no array 'labels'"):
        build(SITE.replace("npz", "npy"), SPEC, WORDS)
