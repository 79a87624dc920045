"""MR, CR, MG, US and NM: tables, colours, inversion, spacing, places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_kinds import add_palette, image, item, items, save, table
from pydicom.uid import JPEGLSLossless, RLELossless

from client.data.cohort import Cohort
from client.data.dicom.pixels import coloured
from client.data.dicom.slices import Slice
from client.data.dicom.unusable import Unusable
from client.data.files import Reader

Read = Callable[..., Any]
Slices = Callable[..., list[Slice]]
Build = Callable[..., Cohort]
GREY = np.arange(64, dtype=np.uint16).reshape(8, 8)
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'


def built(build: Build, tmp_path: Path, *, patients: str = "a", **spec: Any) -> Cohort:
    rows = "".join(f"{patient},x\n" for patient in patients)
    (tmp_path / "l.csv").write_text("patient_id,label\n" + rows)
    return build(SITE, {"kind": "dicom", "image_size": 8, **spec}, ["x", "y"])


def test_a_modality_table_replaces_the_rescale(tmp_path: Path, read: Read) -> None:
    made = image("a", "CR", GREY, BitsStored=10, HighBit=9)
    made.ModalityLUTSequence = table([3 * n for n in range(50)], first=5)
    found = read(save(made, tmp_path / "a"), "CR")
    np.testing.assert_array_equal(found, 3 * np.clip(GREY.astype(int) - 5, 0, 49))


def test_a_damaged_table_is_named(tmp_path: Path, read: Read) -> None:
    made = image("a", "CR", GREY)
    made.ModalityLUTSequence = table([1, 2, 3])
    made.ModalityLUTSequence[0].LUTDescriptor = [50, 0, 16]
    with pytest.raises(Unusable, match="look-up table"):
        read(save(made, tmp_path / "a"), "CR")


@pytest.mark.parametrize("encoding", [None, RLELossless, JPEGLSLossless])
def test_colours(tmp_path: Path, slices: Slices, reader: Reader, encoding: str | None) -> None:
    colours = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
    made = image(
        *("a", "US", colours),
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
    )
    if encoding:
        made.compress(encoding)
    found = slices(save(made, tmp_path / "a"), "US")[0]
    np.testing.assert_array_equal(coloured(found, reader), colours)


def test_colours_in_planes_and_as_brightness(tmp_path: Path, slices: Slices, read: Read) -> None:
    colours = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
    made = image(
        *("a", "US", colours),
        SamplesPerPixel=3,
        PlanarConfiguration=1,
        PhotometricInterpretation="RGB",
    )
    made.PixelData = np.ascontiguousarray(colours.transpose(2, 0, 1)).tobytes()
    found = read(save(made, tmp_path / "a"), "US")
    np.testing.assert_allclose(found, colours @ [0.299, 0.587, 0.114], atol=1e-3)


def test_brightness_and_colour_are_kept_apart_in_ybr(
    tmp_path: Path, slices: Slices, reader: Reader
) -> None:
    grey = np.stack([np.full((8, 8), 90), np.full((8, 8), 128), np.full((8, 8), 128)], -1)
    made = image(
        *("a", "US", grey.astype(np.uint8)),
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="YBR_FULL",
    )
    found = slices(save(made, tmp_path / "a"), "US")[0]
    np.testing.assert_allclose(coloured(found, reader), 90.0, atol=1.0)


def test_a_palette(tmp_path: Path, slices: Slices, reader: Reader) -> None:
    made = image("a", "US", (GREY % 4).astype(np.uint8))
    add_palette(made, [(0, 0, 0), (65535, 0, 0), (0, 65535, 0), (0, 0, 65535)])
    found = coloured(slices(save(made, tmp_path / "a"), "US")[0], reader)
    np.testing.assert_allclose(found[0, :4], 255.0 * np.eye(4, 3, k=-1), atol=1e-3)


def test_a_study_says_what_becomes_of_colours(build: Build, tmp_path: Path) -> None:
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[..., 1] = 255
    made = image(
        *("a", "US", colours),
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
    )
    save(made, tmp_path / "d/colour")
    save(image("b", "US", np.full((8, 8), 255, np.uint8)), tmp_path / "d/grey")
    study = {"modality": "US", "window_centre": 127.5, "window_width": 255}
    plain = built(build, tmp_path, patients="ab", **study)
    assert plain.quarantine.counts == {"colour image": 1}
    grey = built(build, tmp_path, patients="ab", colour="grey", **study)
    assert sorted(grey.inputs[:, 0, 0, 0].tolist()) == pytest.approx([0.174, 1.0])
    rgb = built(build, tmp_path, patients="ab", colour="rgb", **study)
    assert rgb.inputs.shape == (2, 3, 8, 8)
    assert sorted(rgb.inputs[:, :, 0, 0].tolist()) == [[-1, 1, -1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("window", "shown"),
    [
        ({"WindowCenter": 32, "WindowWidth": 16}, [-1, -1, 0.067, 1, 1]),
        (
            {"WindowCenter": [32, 1], "WindowWidth": [16, 2], "VOILUTFunction": "LINEAR_EXACT"},
            [-1, -1, 0, 1, 1],
        ),
        (
            {"WindowCenter": 32, "WindowWidth": 16, "VOILUTFunction": "SIGMOID"},
            [-0.9640, -0.7616, 0, 0.7616, 0.9640],
        ),
        ({"VOILUTSequence": table([0] * 24 + [65535] * 40)}, [-1, 1, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("inverted", [False, True])
def test_as_the_file_wants_to_be_shown(
    build: Build, tmp_path: Path, window: dict[str, Any], shown: list[float], inverted: bool
) -> None:
    """MONOCHROME1 shows the very same numbers, low ones bright."""
    numbers = np.resize(np.array([16, 24, 32, 40, 48], np.uint16), (8, 8))
    made = image("a", "DX", numbers, BitsStored=12, HighBit=11, **window)
    if inverted:
        made.PhotometricInterpretation = "MONOCHROME1"
    save(made, tmp_path / "d/a")
    found = built(build, tmp_path, modality="DX", intensity="voi").inputs[0, 0, 0, :5]
    np.testing.assert_allclose(found, np.array(shown) * (-1 if inverted else 1), atol=1e-3)


def test_without_a_window_voi_is_impossible(build: Build, tmp_path: Path) -> None:
    save(image("a", "MR", GREY, WindowCenter=3, WindowWidth=9), tmp_path / "d/a")
    save(image("a", "MR", GREY), tmp_path / "d/b")
    found = built(build, tmp_path, modality="MR", intensity="voi")
    assert found.quarantine.counts == {"no display window in the file": 1}


def test_spacing_of_projections_and_of_ultrasound(tmp_path: Path, slices: Slices) -> None:
    made = image("a", "MG", GREY, ImagerPixelSpacing=[0.1, 0.1])
    made.EstimatedRadiographicMagnificationFactor = 1.25
    assert slices(save(made, tmp_path / "mg"), "MG")[0].spacing_mm == pytest.approx((0.08, 0.08))
    region = {"PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
    echo = image("a", "US", GREY)
    echo.SequenceOfUltrasoundRegions = items(
        item(**region, PhysicalDeltaX=0.02, PhysicalDeltaY=-0.03)
    )
    assert slices(save(echo, tmp_path / "us"), "US")[0].spacing_mm == pytest.approx((0.3, 0.2))


def test_places_of_nuclear_medicine_frames(tmp_path: Path, slices: Slices) -> None:
    made = image("a", "NM", np.zeros((3, 8, 8), np.uint16), NumberOfFrames=3)
    made.PixelSpacing, made.SpacingBetweenSlices = [4, 4], 5
    made.DetectorInformationSequence = items(
        item(ImagePositionPatient=[1, 2, 3], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    )
    found = slices(save(made, tmp_path / "a"), "NM")
    assert [f.geometry.position.tolist() for f in found if f.geometry] == [
        [1, 2, 3], [1, 2, 8], [1, 2, 13]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BitsAllocated": 12}, "unsupported bit depth"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "binary mask, not an image"),
        ({"PhotometricInterpretation": "HSV"}, "unsupported colours"),
        ({"NumberOfFrames": 100_000}, "impossible size"),
        ({"RescaleSlope": 0}, "impossible rescale"),
        ({"NumberOfFrames": 2}, "truncated"),
    ],
)
def test_reasons(tmp_path: Path, read: Read, changes: dict[str, Any], reason: str) -> None:
    path = save(image("a", "CT", GREY, **changes), tmp_path / "a")
    with pytest.raises(Unusable) as caught:
        read(path)
    assert str(caught.value) == reason


def test_fractions(tmp_path: Path, read: Read) -> None:
    values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    made = image("a", "MR", GREY, BitsAllocated=32)
    del made.PixelData
    made.FloatPixelData = values.tobytes()
    np.testing.assert_array_equal(read(save(made, tmp_path / "a"), "MR"), values)
    values[0, 0] = np.nan
    made.FloatPixelData = values.tobytes()
    with pytest.raises(Unusable, match="no numbers"):
        read(save(made, tmp_path / "a"), "MR")
