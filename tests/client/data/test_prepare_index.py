"""Preparing images with index and cache: by content, without identifiers outside the index."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from client.data.cohort import Cohort
from client.data.dicom.source import DicomSource
from client.data.files import walk
from client.data.prepare import prepare
from client.data.steps.geometry import Flip
from client.site import load_site
from common.data_spec import DataSpec

Build = Callable[..., Cohort]
Write = Callable[..., Any]
SITE = 'kind = "dicom"\npath = "d"\nlabels = "l.csv"\n'
SPEC: dict[str, Any] = {"kind": "dicom", "image_size": 8}
CLASSES = ["a", "b"]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, write_ct: Write, tmp_path: Path) -> list[int]:
    """Three patients, and a list that grows whenever their images are read."""
    for number in range(6):
        image = np.full((8, 8), 400 + number, np.uint16)
        write_ct(tmp_path / f"d/{number}", image, f"zz-{number % 3}", z=number)
    (tmp_path / "l.csv").write_text("patient_id,label\nzz-0,a\nzz-1,b\nzz-2,a\n")
    whole, count = DicomSource.load, []

    def load(self: DicomSource, *arguments: Any) -> Any:
        count.append(1)
        return whole(self, *arguments)

    monkeypatch.setattr(DicomSource, "load", load)
    return count


def test_copied_and_touched_files_are_the_same_data(
    build: Build, loads: list[int], tmp_path: Path
) -> None:
    first = build(SITE, SPEC, CLASSES, cache=tmp_path / "cache")
    shutil.copytree(tmp_path / "d", tmp_path / "copy")
    shutil.rmtree(tmp_path / "d")
    os.rename(tmp_path / "copy", tmp_path / "d")
    again = build(SITE, SPEC, CLASSES, cache=tmp_path / "cache")
    assert len(loads) == 1
    np.testing.assert_array_equal(first.inputs, again.inputs)


def test_images_are_read_in_the_order_of_the_cohort(
    build: Build, loads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = []

    def rows(values: Any, chosen: Any) -> Any:
        moved.append(not np.array_equal(chosen, np.arange(len(values))))
        return values[chosen]

    monkeypatch.setattr("client.data.cohort._rows", rows)
    build(SITE, SPEC, CLASSES)
    assert moved == [False, False]


@pytest.mark.parametrize("change", ["pixels", "label", "file", "reader", "step", "study"])
def test_other_content_is_other_data(
    build: Build,
    loads: list[int],
    tmp_path: Path,
    write_ct: Write,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    spec = {**SPEC, "steps": ["flip"]}
    build(SITE, spec, CLASSES, cache=tmp_path / "cache")
    if change == "pixels":
        content = bytearray((tmp_path / "d/1").read_bytes())
        content[-1] ^= 1
        (tmp_path / "d/1").write_bytes(content)
    elif change == "label":
        (tmp_path / "l.csv").write_text("patient_id,label\nzz-0,b\nzz-1,b\nzz-2,a\n")
    elif change == "file":
        (tmp_path / "d/notes").write_text("new")
    elif change == "reader":
        monkeypatch.setattr("client.data.prepare.program", lambda *_: "a later one")
    elif change == "step":
        monkeypatch.setattr(Flip, "VERSION", 2, raising=False)
    else:
        spec = {**spec, "window_centre": 5}
    build(SITE, spec, CLASSES, cache=tmp_path / "cache")
    assert len(loads) == 2


def test_identifiers_are_in_the_index_alone(build: Build, loads: list[int], tmp_path: Path) -> None:
    build(SITE, SPEC, CLASSES, cache=tmp_path / "cache")
    made = [tmp_path / "cache", tmp_path / ".consilium"]
    holding = {
        path.name
        for folder in made
        for path in folder.rglob("*")
        if path.is_file() and b"zz-" in path.read_bytes()
    }
    assert holding == {"default-CT.sqlite"}
    index = tmp_path / ".consilium/index/default-CT.sqlite"
    assert stat.S_IMODE(index.stat().st_mode) == 0o600
    assert not [file for file in walk(tmp_path) if ".consilium" in file.name]


def test_two_at_once_read_once(build: Build, loads: list[int], tmp_path: Path) -> None:
    build(SITE, SPEC, CLASSES)  # writes site.toml
    site, found = load_site(tmp_path), []
    spec: DataSpec = TypeAdapter(DataSpec).validate_python(SPEC)

    def run() -> None:
        found.append(prepare(site, spec, CLASSES, b"secret", tmp_path / "cache"))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(loads) == 2  # the one before, and one of the three
    np.testing.assert_array_equal(found[0].inputs, found[2].inputs)
