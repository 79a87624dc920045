"""Reading samples in workers: in order, as they are chosen, and past a mask that has gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_kinds import nifti
from pydantic import TypeAdapter

from client.data.dicom import parallel
from client.data.dicom.cut import Cut
from client.data.dicom.parallel import Recipe, read_samples
from client.data.dicom.select import cuts
from client.data.files import walk
from client.data.index.archive import archive
from client.data.quarantine import QuarantineLog
from client.data.workers.pool import BATCH, cores
from common.data_spec import ImageSpec

MANY = 3000


def spec_of(**changes: Any) -> ImageSpec:
    content = {"kind": "dicom", "image_size": 4, "window_centre": 0, "window_width": 4000}
    spec: ImageSpec = TypeAdapter(ImageSpec).validate_python({**content, **changes})
    return spec


def chosen_of(folder: Path, write_ct: Callable[..., Any], spec: ImageSpec) -> list[Cut]:
    for z in range(3):
        write_ct(folder / f"{z}", np.full((4, 4), 1024 + 100 * z, np.uint16), "zz-1", z=z)
    with archive(folder, "CT") as held:
        return cuts(held.slices("zz-1"), (), spec, QuarantineLog())


def test_samples_are_chosen_as_they_are_needed(
    write_ct: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, only those on their way are held."""
    three = chosen_of(tmp_path, write_ct, spec_of())
    taken, placed, most = [0], [0], [0]

    def many() -> Iterator[Cut]:
        for number in range(MANY):
            taken[0] += 1
            most[0] = max(most[0], taken[0] - placed[0])
            yield three[number % 3]

    place = parallel._Making.place

    def count(self: Any, outcome: Any, start: int, cuts: Any) -> None:
        placed[0] += len(cuts)
        place(self, outcome, start, cuts)

    monkeypatch.setattr(parallel._Making, "place", count)
    made = read_samples(many(), Recipe(spec_of()), QuarantineLog())
    assert len(made.kept) == MANY
    np.testing.assert_allclose(made.inputs[:, 0, 0, 0], np.arange(MANY) % 3 / 20, atol=1e-6)
    assert most[0] <= (cores() + 1) * BATCH * parallel.TOGETHER


def test_a_mask_that_cannot_be_read_takes_its_samples_along(
    write_ct: Callable[..., Any], tmp_path: Path
) -> None:
    spec = spec_of(labels="mask", structures=["1"])
    three = chosen_of(tmp_path / "d", write_ct, spec)
    nifti(tmp_path / "m/zz-1.nii", np.ones((4, 4, 3), np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0]))
    (file,) = walk(tmp_path / "m")
    marked = [three[0], replace(three[1], masks=(file,)), three[2]]
    log = QuarantineLog()
    made = read_samples(marked, Recipe(spec, ("1",)), log)
    assert made.masks is not None
    assert made.masks.reshape(3, -1).sum(axis=1).tolist() == [0, 16, 0]
    Path(file.path).write_bytes(b"no mask")
    (file,) = walk(tmp_path / "m")
    marked[1] = replace(three[1], masks=(file,))
    made = read_samples(marked, Recipe(spec, ("1",)), log)
    assert made.kept.tolist() == [0, 2]
    assert log.result().details == (("zz-1.nii", "not NIfTI"),)
