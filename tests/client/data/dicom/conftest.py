"""Fixtures: one image read as the source reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from client.data.dicom.header import read_slices
from client.data.dicom.opening import opened
from client.data.dicom.pixels import rescaled
from client.data.dicom.quiet import quiet
from client.data.dicom.slices import Slice
from client.data.files import Reader, walk


@pytest.fixture
def reader() -> Iterator[Reader]:
    """Opens files."""
    with quiet(), Reader() as one:
        yield one


@pytest.fixture
def slices(reader: Reader) -> Callable[[Path, str], list[Slice]]:
    """Read the header of a file."""

    def run(path: Path, modality: str = "CT") -> list[Slice]:
        file = next(walk(path))
        with opened(file, reader) as stream:
            found = read_slices(file, stream, modality)[1]
        return [Slice.from_row(file, one.to_row()) for one in found]  # as a database gives them

    return run


@pytest.fixture
def read(
    slices: Callable[[Path, str], list[Slice]], reader: Reader
) -> Callable[..., NDArray[np.float32]]:
    """Read one frame of a file in rescaled units."""

    def run(path: Path, modality: str = "CT", frame: int = 0) -> NDArray[np.float32]:
        return rescaled(slices(path, modality)[frame], reader)

    return run
