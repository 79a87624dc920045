"""Stacks of neighbours, volumes, tilted gantries, missing and repeated slices, planes of the body."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydantic import TypeAdapter, ValidationError

from client.data.cohort import Cohort
from client.data.dicom.through import weights
from common.data_spec import DataSpec

Build = Callable[..., Cohort]
Write = Callable[..., pydicom.FileDataset]
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
SPEC: dict[str, Any] = {
    "kind": "dicom",
    "image_size": 8,
    "window_centre": 0,
    "window_width": 4000,
}


def hu(build: Build, tmp_path: Path, head: str = "", row: str = "", **spec: Any) -> np.ndarray:
    """Build one patient's cohort and undo the window."""
    (tmp_path / "l.csv").write_text(f"patient_id,label{head}\na,x{row}\n")
    return build(SITE, {**SPEC, **spec}, ["x", "y"]).inputs * 2000.0


def flat(write_ct: Write, folder: Path, depths: list[float], **changes: Any) -> None:
    """Write slices whose HU is their depth."""
    for number, z in enumerate(depths):
        image = np.full((8, 8), 1024 + round(z), np.uint16)
        write_ct(folder / f"{number:02}", image, "a", z=z, **{"InstanceNumber": number, **changes})


def reasons(build: Build, tmp_path: Path, **spec: Any) -> dict[str, int]:
    (tmp_path / "l.csv").write_text("patient_id,label\na,x\n")
    return dict(build(SITE, {**SPEC, **spec}, ["x", "y"]).quarantine.counts)


def test_neighbours_are_channels_and_the_last_repeats(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    flat(write_ct, tmp_path / "d", [0, 10, 20, 30])
    found = hu(build, tmp_path, planes=3)
    assert found.shape == (4, 3, 8, 8)
    assert found[:, :, 0, 0].round().tolist() == [
        [0, 0, 10],
        [0, 10, 20],
        [10, 20, 30],
        [20, 30, 30],
    ]
    middle = hu(build, tmp_path, planes=3, slices=2, slice_spacing_mm=5.0)
    assert middle[:, :, 0, 0].round(3).tolist() == [[5, 10, 15], [15, 20, 25]]


def test_a_volume_has_the_study_spacing(build: Build, write_ct: Write, tmp_path: Path) -> None:
    flat(write_ct, tmp_path / "d", [0, 10, 20, 30])
    found = hu(build, tmp_path, depth=5, slice_spacing_mm=6.0, spacing_mm=1.0)
    assert found.shape == (1, 1, 5, 8, 8)
    np.testing.assert_allclose(found[0, 0, :, 4, 4], [3, 9, 15, 21, 27], atol=1e-3)
    own = hu(build, tmp_path, depth=6)
    np.testing.assert_allclose(own[0, 0, :, 0, 0], [-1000, 0, 10, 20, 30, -1000], atol=1e-3)


def test_slices_closer_than_the_study_wants_are_averaged() -> None:
    depths = [float(z) for z in range(11)]
    parts = dict(weights(depths, 5.0, 4.0))
    assert sum(parts.values()) == pytest.approx(1.0)
    assert sum(depths[n] * w for n, w in parts.items()) == pytest.approx(5.0)
    assert min(parts) == 2
    assert max(parts) == 8
    assert weights(depths, 10.6, 4.0) == []
    assert weights([3.0], 3.2, 1.0) == [(0, 1.0)]


def test_a_volume_round_a_point(build: Build, write_ct: Write, tmp_path: Path) -> None:
    flat(write_ct, tmp_path / "d", [0, 10, 20, 30])
    head = ",x_mm,y_mm,z_mm"
    study = {"centre": "point", "depth": 3, "slice_spacing_mm": 1.0, "spacing_mm": 1.0}
    found = hu(build, tmp_path, head, ",4,4,12", image_size=4, **study)
    np.testing.assert_allclose(found[0, 0, :, 1, 1], [11, 12, 13], atol=1e-3)


def test_a_tilted_gantry_gives_an_upright_volume(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    """Slices of a leaning gantry slide along y; a column of bone along z stays a column."""
    tilt = np.deg2rad(20.0)
    down = [0.0, float(np.cos(tilt)), float(np.sin(tilt))]
    normal = np.cross([1, 0, 0], down)
    for number in range(9):
        image = np.zeros((64, 64), np.uint16)
        place = np.array([0.0, 0.0, 5.0 * number])  # the table moves along z, not along the normal
        bone = (np.array([20.0, 30.0, 0.0]) + normal * 5.0 * number) - place
        row, column = bone @ down, bone[0]
        image[round(row) - 1 : round(row) + 2, round(column) - 1 : round(column) + 2] = 3024
        write_ct(
            tmp_path / f"d/{number}",
            image,
            "a",
            ImagePositionPatient=place.tolist(),
            ImageOrientationPatient=[1, 0, 0, *down],
            InstanceNumber=number,
        )
    point = np.array([20.0, 30.0, 0.0]) + normal * 20.0
    row = "," + ",".join(f"{v:.4f}" for v in point)
    study = {"centre": "point", "depth": 7, "slice_spacing_mm": 4.0, "spacing_mm": 1.0}
    found = hu(build, tmp_path, ",x_mm,y_mm,z_mm", row, image_size=9, **study)[0, 0]
    assert (found[:, 4, 4] > 1000).all()


def test_a_missing_slice_spoils_a_volume_unless_the_study_allows_it(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    flat(write_ct, tmp_path / "d", [0, 10, 20, 30, 50, 60, 70, 80])
    write_ct(tmp_path / "d/b", np.full((8, 8), 1024, np.uint16), "a", SeriesInstanceUID="1.2.9")
    spec = {"slice_spacing_mm": 10.0, "spacing_mm": 1.0}
    assert reasons(build, tmp_path, depth=7, **spec) == {"slices are missing or too far apart": 1}
    found = hu(build, tmp_path, depth=7, max_gap_mm=20.0, **spec)
    np.testing.assert_allclose(found[0, 0, :, 0, 0], [10, 20, 30, 40, 50, 60, 70], atol=1e-3)
    assert reasons(build, tmp_path, planes=3) == {"slices are missing or too far apart": 2}


def test_a_slice_sent_twice_counts_once(build: Build, write_ct: Write, tmp_path: Path) -> None:
    flat(write_ct, tmp_path / "d", [0, 10, 10, 20])
    assert reasons(build, tmp_path, depth=3) == {"second image at the same place": 1}
    np.testing.assert_allclose(hu(build, tmp_path, depth=3)[0, 0, :, 0, 0], [0, 10, 20], atol=1e-3)


def test_phases_are_volumes_of_their_own(build: Build, write_ct: Write, tmp_path: Path) -> None:
    for phase in (1, 2):
        flat(
            *(write_ct, tmp_path / f"d/{phase}", [0, 10, 20]),
            TemporalPositionIdentifier=phase,
            RescaleIntercept=-1024 + 100 * phase,
        )
    found = hu(build, tmp_path, depth=3)
    assert found[:, 0, :, 0, 0].round().tolist() == [[100, 110, 120], [200, 210, 220]]


def test_the_planes_of_the_body_are_turned_alike(
    build: Build, write_ct: Write, tmp_path: Path
) -> None:
    """The same body, scanned head or feet first and stored along other axes, gives one volume."""
    rng = np.random.default_rng(5)
    body = rng.integers(0, 2000, (8, 8, 8)).astype(np.uint16)  # x, y, z
    stored = {
        "usual": [1, 0, 0, 0, 1, 0],
        "prone": [-1, 0, 0, 0, -1, 0],
        "turned": [0, 1, 0, 1, 0, 0],
    }
    volumes = []
    for name, axes in stored.items():
        folder = tmp_path / name
        across, down = np.array(axes[:3]), np.array(axes[3:])
        corner = np.where((across + down) < 0, 7, 0)
        for z in range(8):
            image = np.zeros((8, 8), np.uint16)
            for row in range(8):
                for column in range(8):
                    x, y, _ = corner + row * down + column * across
                    image[row, column] = body[x, y, z]
            write_ct(
                folder / f"d/{z}",
                image,
                "a",
                ImagePositionPatient=[int(corner[0]), int(corner[1]), z],
                ImageOrientationPatient=axes,
                InstanceNumber=z,
            )
        (folder / "l.csv").write_text("patient_id,label\na,x\n")
        site = SITE.replace('"d"', f'"{folder}/d"').replace('"l.csv"', f'"{folder}/l.csv"')
        spec = {**SPEC, "depth": 8, "plane": "axial", "spacing_mm": 1, "slice_spacing_mm": 1}
        volumes.append(build(site, spec, ["x", "y"]).inputs[0, 0] * 2000.0 + 1024.0)
    for volume in volumes:
        np.testing.assert_allclose(volume, body.transpose(2, 1, 0), atol=1e-2)
    with pytest.raises(Exception, match="8 × not coronal"):
        build(site, {**SPEC, "plane": "coronal"}, ["x", "y"])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"planes": 2}, "planes must be odd"),
        ({"planes": 3, "depth": 8}, "either planes"),
        ({"depth": 8, "slices": 3}, "leave out slices"),
        ({"slice_spacing_mm": 2.0}, "need planes or depth"),
        ({"centre": "mask"}, "belong together"),
    ],
)
def test_contradictions(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(DataSpec).validate_python({**SPEC, **keys})


def test_a_real_chest_ct_as_stack_and_volume(build: Build, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("patient_id,label\nLungFCP-01-0001,x\n")
    path = shared / "dicom" / "ct_chest_LungFCP-01-0001.zip"
    site = SITE.replace('"d"', f'"{path}"')
    spec = {**SPEC, "image_size": 32, "spacing_mm": 8.0, "plane": "axial"}
    slices = build(site, spec, ["x", "y"]).inputs
    stacks = build(site, {**spec, "planes": 3}, ["x", "y"]).inputs
    volume = build(site, {**spec, "depth": 36}, ["x", "y"]).inputs
    assert (slices.shape, stacks.shape) == ((36, 1, 32, 32), (36, 3, 32, 32))
    np.testing.assert_array_equal(stacks[:, 1], slices[:, 0])
    np.testing.assert_array_equal(stacks[1:, 0], slices[:-1, 0])
    np.testing.assert_array_equal(volume[0, 0], slices[:, 0])
