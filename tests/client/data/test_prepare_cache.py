"""The cache: hits, changes of any input, damage, and folders that cannot be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data.cohort import Cohort
from client.data.table import TableSource
from common import plugins

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "table",
    "target": "y",
    "positive": [1],
    "features": [{"name": "x", "minimum": 0, "maximum": 10}],
}
SITE = 'kind = "table"\npath = "t.csv"\npatient = "id"\n'


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """A data set, and a list that grows whenever it is read."""
    (tmp_path / "t.csv").write_text("id,x,y\nzz-1,1,0\nzz-2,2,1\nzz-3,3,\n")
    count: list[int] = []

    class Counting(TableSource):
        def load(self, *args: Any, **options: Any) -> Any:
            count.append(1)
            return super().load(*args, **options)

    monkeypatch.setattr(plugins, "load", lambda kind, name: Counting)
    return count


def same(one: Cohort, other: Cohort) -> bool:
    """Compare two cohorts in everything."""
    arrays = ("inputs", "targets", "patient", "is_test")
    equal = all(np.array_equal(getattr(one, a), getattr(other, a)) for a in arrays)
    rest = (one.split_id, one.quarantine, one.notes) == (
        other.split_id,
        other.quarantine,
        other.notes,
    )
    return equal and rest


def test_second_time_comes_from_the_cache(build: Build, reads: list[int], tmp_path: Path) -> None:
    first = build(SITE, SPEC, cache=tmp_path / "cache")
    again = build(SITE, SPEC, cache=tmp_path / "cache")
    assert reads == [1]
    assert same(first, again)
    names = [str(path) for path in (tmp_path / "cache").rglob("*")]
    content = b"".join(p.read_bytes() for p in (tmp_path / "cache").rglob("*") if p.is_file())
    assert "zz-" not in str(names)
    assert b"zz-" not in content


def test_any_change_is_seen(build: Build, reads: list[int], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    build(SITE, SPEC, cache=cache)
    build(SITE, {**SPEC, "test_fraction": 0.5}, cache=cache)
    build(SITE + "missing = [7]\n", SPEC, cache=cache)
    build(SITE, SPEC, ["a", "b"], cache=cache)
    build(SITE, SPEC, secret=b"another", cache=cache)
    os.utime(tmp_path / "t.csv", ns=(1, 1))
    build(SITE, SPEC, cache=cache)
    assert len(reads) == 6


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "text"])
def test_a_damaged_entry_is_rebuilt(
    build: Build, reads: list[int], tmp_path: Path, damage: str
) -> None:
    first = build(SITE, SPEC, cache=tmp_path / "cache")
    [inputs] = (tmp_path / "cache").glob("*/inputs.npy")
    content = bytearray(inputs.read_bytes())
    content[-1] ^= 1
    if damage == "flip":
        inputs.write_bytes(content)
    elif damage == "cut":
        inputs.write_bytes(content[:-2])
    elif damage == "remove":
        inputs.unlink()
    else:
        (inputs.parent / "meta.json").write_text("[")
    assert same(first, build(SITE, SPEC, cache=tmp_path / "cache"))
    assert same(first, build(SITE, SPEC, cache=tmp_path / "cache"))
    assert len(reads) == 2


def test_a_cache_that_cannot_be_written_is_a_note(
    build: Build, reads: list[int], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    cohort = build(SITE, SPEC, cache=tmp_path / "file" / "cache")
    assert any("cache folder cannot be written" in note for note in cohort.notes)


def test_a_wrong_declaration_is_a_note(build: Build, reads: list[int], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x,y\n" + "".join(f"{n},1,1\n" for n in range(100)))
    assert "declared_patients is 10, but 100" in build(SITE, SPEC).notes[-1]
