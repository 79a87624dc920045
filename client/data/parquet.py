"""Reads Parquet as text columns, so that everything behind it is the same as for separated text."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import pandas as pd

from common.errors import DataError, MachineError

ENDINGS = (".parquet", ".pq")


def is_parquet(name: str) -> bool:
    """Tell by the name."""
    return name.casefold().endswith(ENDINGS)


def parts(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder that is one table, in order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_parquet(path.name))


def read(
    source: Path | IO[bytes], wanted: Collection[str] | None, *, where: str
) -> tuple[pd.DataFrame, list[str]]:
    """Return the wanted columns (none: all) as text, and the names of all columns.

    Raises:
        DataError: this is no Parquet table, or a column holds lists or the like.
        MachineError: the package that reads Parquet is not installed.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise MachineError(
            "Reading Parquet needs the package 'pyarrow'.",
            where=where,
            fix="Install consilium[parquet], or export the table as CSV.",
        ) from None
    try:
        with parquet.ParquetFile(source) as file:
            known = [str(name) for name in file.schema_arrow.names]
            chosen = [name for name in known if wanted is None or name.strip() in wanted]
            table = file.read(columns=chosen)
    except (arrow.ArrowException, OSError, ValueError):
        raise DataError("The file is not a Parquet table.", where=where) from None
    nested = [field.name for field in table.schema if arrow.types.is_nested(field.type)]
    if nested:
        raise DataError(
            f"Column '{nested[0]}' holds lists or records, not values.",
            where=where,
            fix="Write one value in each field.",
        )
    frame = table.to_pandas(integer_object_nulls=True, timestamp_as_object=False)
    return pd.DataFrame({name: _text(frame[name]) for name in frame.columns}), known


def _text(values: pd.Series[Any]) -> pd.Series[Any]:
    """Write each value as a table would; what is null becomes empty."""
    blank = values.isna()
    if values.dtype == object:
        words = values.map(lambda v: v.decode("utf-8", "replace") if isinstance(v, bytes) else v)
        return words.astype(str).where(~blank, "")
    return values.astype(str).astype(object).where(~blank, "").astype(str)
