"""A patch is what the plain formula says, and reads no more of a file than it needs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from dicom_kinds import image, save
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.uid import RLELossless

from client.data.dicom import pixels
from client.data.dicom.pixels import rescaled
from client.data.dicom.resample import Region, patch
from client.data.dicom.slices import Slice
from client.data.dicom.unusable import Unusable
from client.data.files import Reader

Slices = Callable[..., list[Slice]]
SHAPE = (11, 7)
INSIDE = Region(3, 6, 2, 9)
RAMP = (np.arange(12 * 10, dtype=np.uint16) * 9).reshape(12, 10)


def plainly(
    values: NDArray[np.float32], centre: NDArray[np.float64], step: float, size: int, pad: float
) -> NDArray[np.float64]:
    """Every pixel by itself: the mean of the pixels near its place, weighted by their distance; outside is pad."""
    support, margin = max(1.0, step), 60
    wide = np.pad(values.astype(np.float64), margin, constant_values=pad)
    found = np.zeros((size, size))
    for place in np.ndindex(size, size):
        at = centre + (np.array(place) - (size - 1) / 2.0) * step + margin
        weights = [
            np.maximum(0.0, 1.0 - np.abs(np.arange(n) - a) / support)
            for n, a in zip(wide.shape, at, strict=True)
        ]
        down, across = (weight / weight.sum() for weight in weights)
        found[place] = down @ wide @ across
    return found


@given(
    centre=st.tuples(st.floats(-8, 20), st.floats(-8, 20)),
    step=st.sampled_from([0.3, 1.0, 1.7, 3.0]),
    size=st.integers(1, 9),
    whole=st.booleans(),
)
def test_a_patch_is_the_weighted_mean_of_the_pixels_near(
    centre: tuple[float, float], step: float, size: int, whole: bool
) -> None:
    values = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.float32)
    middle = np.floor(centre) + (size - 1) / 2.0 if whole else np.array(centre)
    made = patch(middle, (step, step), (size, size), SHAPE)
    found = made.of(made.region.of(values), -50.0)
    np.testing.assert_allclose(found, plainly(values, middle, step, size, -50.0), atol=1e-2)


def test_whole_pixels_are_taken_as_they_are() -> None:
    values = np.arange(77, dtype=np.float32).reshape(SHAPE)
    made = patch(np.array([4.5, 3.0]), (1.0, 1.0), (2, 3), SHAPE)
    assert made.region == (4, 6, 2, 5)
    np.testing.assert_array_equal(made.of(made.region.of(values), -1000.0), values[4:6, 2:5])


@pytest.mark.parametrize("encoding", [None, RLELossless])
def test_a_region_is_a_part_of_the_image(
    tmp_path: Path, slices: Slices, reader: Reader, encoding: str | None
) -> None:
    made = image("p", "CT", RAMP, RescaleSlope=2, RescaleIntercept=-7)
    if encoding is not None:
        made.compress(encoding)
    [found] = slices(save(made, tmp_path / "a"))
    whole = rescaled(found, reader)
    np.testing.assert_array_equal(rescaled(found, reader, INSIDE), INSIDE.of(whole))
    assert whole.shape == RAMP.shape
    for strange in (replace(found, slope=1e12), replace(found, inverted_bits=12)):
        expected = INSIDE.of(rescaled(strange, reader))
        np.testing.assert_array_equal(rescaled(strange, reader, INSIDE), expected)


def test_only_the_rows_of_a_region_are_read(
    tmp_path: Path, slices: Slices, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            content = super().read(size)
            Counted.taken += len(content)
            return content

    [found] = slices(save(image("p", "CT", RAMP), tmp_path / "a"))
    content = (tmp_path / "a").read_bytes()

    def opened(*_: Any) -> IO[bytes]:
        return Counted(content)

    monkeypatch.setattr(pixels, "opened", opened)
    rescaled(found, reader, INSIDE)
    assert Counted.taken == 3 * 10 * 2


def test_a_file_that_became_shorter_is_refused(
    tmp_path: Path, slices: Slices, reader: Reader
) -> None:
    path = save(image("p", "CT", RAMP), tmp_path / "a")
    [found] = slices(path)
    path.write_bytes(path.read_bytes()[: -7 * 10 * 2])
    rescaled(found, reader, Region(0, 5, 0, 10))
    with pytest.raises(Unusable, match="truncated"):
        rescaled(found, reader, Region(3, 6, 0, 10))


def test_a_value_that_is_no_number_is_seen_wherever_it_is(
    tmp_path: Path, slices: Slices, reader: Reader
) -> None:
    [found] = slices(save(image("p", "CT", RAMP), tmp_path / "a"))
    with pytest.raises(Unusable, match="no numbers"):
        rescaled(replace(found, slope=1e38), reader, Region(0, 1, 0, 1))
