"""Parquet: the same cohort as from CSV, whatever the types of its columns."""

from __future__ import annotations

import builtins
import datetime
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.data import tabular
from client.data.cohort import Cohort
from client.data.config_base import TextFormat
from common.errors import DataError, MachineError

arrow = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install consilium[parquet]")
from pyarrow import parquet  # noqa: E402

Build = Callable[..., Cohort]
SPEC: dict[str, Any] = {
    "kind": "table",
    "target": "ill",
    "positive": [1],
    "features": [
        {"name": "age", "minimum": 0, "maximum": 100, "missing_indicator": True},
        {"name": "smokes", "type": "flag"},
        {"name": "ward", "type": "category", "categories": ["A", "B"]},
    ],
}


def write(path: Path, **columns: Any) -> None:
    parquet.write_table(arrow.table(columns), path)


def people(path: Path, start: int = 0, count: int = 40) -> None:
    """Nulls in every column; identifiers with leading zeros; a dictionary of wards."""
    numbers = range(start, start + count)
    wards = arrow.array([None if i % 7 == 0 else "AB"[i % 2] for i in numbers])
    write(
        path,
        id=[f"00{i}" for i in numbers],
        age=arrow.array([None if i % 5 == 0 else i for i in numbers], arrow.int64()),
        smokes=[None if i % 3 == 0 else i % 2 == 0 for i in numbers],
        ward=wards.dictionary_encode(),
        ill=[i % 2 for i in numbers],
    )


def test_it_is_what_csv_would_be(build: Build, tmp_path: Path) -> None:
    people(tmp_path / "t.parquet")
    lines = ["id,age,smokes,ward,ill"]
    for i in range(40):
        age, ward = "" if i % 5 == 0 else i, "" if i % 7 == 0 else "AB"[i % 2]
        lines.append(f"00{i},{age},{'' if i % 3 == 0 else i % 2 == 0},{ward},{i % 2}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    site = 'kind = "table"\npath = "{}"\npatient = "id"\n'
    one, two = (build(site.format(f"t.{end}"), SPEC) for end in ("parquet", "csv"))
    np.testing.assert_array_equal(one.inputs, two.inputs)
    np.testing.assert_array_equal(one.targets, two.targets)


def test_a_folder_of_files_is_one_table(build: Build, tmp_path: Path) -> None:
    (tmp_path / "t" / "deep").mkdir(parents=True)
    people(tmp_path / "t" / "a.parquet", 0, 10)
    people(tmp_path / "t" / "deep" / "b.parquet", 10, 30)
    (tmp_path / "t" / "_SUCCESS").write_text("")
    assert build('kind = "table"\npath = "t"\npatient = "id"\n', SPEC).patients == 40
    write(tmp_path / "t" / "c.parquet", id=["1"])
    with pytest.raises(DataError, match="different columns"):
        build('kind = "table"\npath = "t"\npatient = "id"\n', SPEC)


def test_types_become_text(tmp_path: Path) -> None:
    write(
        tmp_path / "t.parquet",
        day=[datetime.date(2024, 3, 1), None],
        moment=[datetime.datetime(2024, 3, 1, 10, 5), None],
        price=[decimal.Decimal("1.50"), None],
        raw=[b"abc", None],
        small=arrow.array([0.1, None], arrow.float32()),
        name=[" x ", "nan"],
    )
    frame = tabular.read_table(tmp_path / "t.parquet", TextFormat())
    assert frame.iloc[0].tolist() == [
        "2024-03-01",
        "2024-03-01 10:05:00",
        "1.50",
        "abc",
        "0.1",
        "x",
    ]
    assert frame.iloc[1].tolist() == ["", "", "", "", "", "nan"]
    some = tabular.read_table(tmp_path / "t.parquet", TextFormat(), {"name"})
    assert list(some.columns) == ["name"]
    assert "price" in some.attrs["columns"]


def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing more PAR1")
    with pytest.raises(DataError, match="not a Parquet table"):
        tabular.read_table(tmp_path / "no.parquet", TextFormat())
    write(tmp_path / "lists.parquet", readings=[[1, 2], [3]])
    with pytest.raises(DataError, match="'readings' holds lists"):
        tabular.read_table(tmp_path / "lists.parquet", TextFormat())
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MachineError, match=r"consilium\[parquet\]"):
        tabular.read_table(tmp_path / "lists.parquet", TextFormat())


def test_series_in_parquet(build: Build, tmp_path: Path) -> None:
    start = datetime.datetime(2024, 1, 1)
    times = [start + datetime.timedelta(minutes=5 * i) for i in range(20)]
    write(tmp_path / "g.parquet", patient=["p"] * 20, time=times, value=list(range(20)))
    spec = {
        "kind": "series",
        "history_minutes": 20,
        "horizons_minutes": [5],
        "minimum": 0,
        "maximum": 100,
        "stride_minutes": 5,
    }
    assert build('kind = "series"\npath = "g.parquet"\n', spec).samples == 16
