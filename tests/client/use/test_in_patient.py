"""Finds go back to the point of the body from which training's points came, whatever the shape of the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from client.data.dicom.cut import Cut
from client.data.dicom.select import cuts
from client.data.dicom.slices import Geometry, Slice
from client.data.dicom.spotted import placed
from client.data.files import File
from client.data.quarantine import QuarantineLog
from client.use.in_patient import in_patient, point_of
from common.data_spec import ImageSpec

AXIAL = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
SAGITTAL = ([0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
SPACING, GAP = (0.8, 0.7), 1.5
SHAPE = (10, 30, 26)


def chosen(changes: dict[str, Any], axes: tuple[list[float], list[float]]) -> tuple[list[Cut], Any]:
    """Return the samples of one series, and the study's data."""
    across, down = np.array(axes[0]), np.array(axes[1])
    base = {"kind": "dicom", "image_size": [24, 20], "labels": "points", "structures": ["nodule"]}
    spec = ImageSpec.model_validate({**base, **changes})
    series = [
        Slice(
            file=File(f"{number}", f"/{number}", 1, 0),
            frame=0,
            patient="a",
            series="s",
            instance=number,
            shape=SHAPE[1:],
            geometry=Geometry(
                np.array([-5.0, 7.0, 30.0]) + number * GAP * np.cross(across, down), across, down
            ),
            spacing_mm=SPACING,
            slope=1.0,
            intercept=0.0,
            inverted_bits=0,
            native=None,
        )
        for number in range(SHAPE[0])
    ]
    return cuts(series, (), spec, QuarantineLog()), spec


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"planes": 3},
        {"spacing_mm": 1.1},
        {"depth": 12},
        {"depth": 6, "spacing_mm": 1.1, "slice_spacing_mm": 2.0},
        {"depth": 10, "plane": True},
        {"plane": True, "spacing_mm": 1.1},
    ],
)
def test_there_and_back(changes: dict[str, Any], axes: tuple[list[float], list[float]]) -> None:
    if "plane" in changes:
        changes = {**changes, "plane": "axial" if axes is AXIAL else "sagittal"}
    made, spec = chosen(changes, axes)
    across, down = np.array(axes[0]), np.array(axes[1])
    point = np.array([-5.0, 7.0, 30.0]) + 8.0 * across + 11.0 * down
    point = point + (5 if spec.depth is None else 5.3) * GAP * np.cross(across, down)
    seen = 0
    for cut in made:
        pixel = placed(cut, point, 0.1, spec)
        if pixel is not None:
            seen += 1
            np.testing.assert_allclose(point_of(cut, pixel[:-1].tolist(), spec), point, atol=1e-6)
    assert seen == 1


def test_columns_of_pixels_become_columns_of_the_body() -> None:
    made, spec = chosen({"depth": 10}, AXIAL)
    told = {"score_1": [0.9], "slice_1": [4.0], "row_1": [3.0], "column_1": [2.0]}
    told |= {"diameter_mm_1": [5.0], "score_2": [None], "slice_2": [None]}
    told |= {"row_2": [None], "column_2": [None], "diameter_mm_2": [None]}
    found = in_patient(told, made, spec)
    assert list(found)[:5] == ["score_1", "x_mm_1", "y_mm_1", "z_mm_1", "diameter_mm_1"]
    assert len(found) == 10
    expected = point_of(made[0], (4.0, 3.0, 2.0), spec)
    assert expected is not None
    assert [found[f"{n}_mm_1"][0] for n in "xyz"] == pytest.approx(expected.tolist(), abs=0.01)
    assert found["x_mm_2"] == [None]
