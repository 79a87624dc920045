"""Reads a site's tables as text, with errors that name the file, the column and the nearest name.

Everything is read as text first: a leading zero of an identifier survives. What the words of a cell mean is decided
once for all formats, in `client.data.cells`.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from client.data import cells, column_keys, parquet
from client.data.config_base import Filter, Join, TextFormat
from common import plugins
from common.errors import DataError


def read_table(path: Path, text: TextFormat, wanted: Collection[str] | None = None) -> pd.DataFrame:
    """Read a file (csv, tsv, csv.gz, csv.zip, parquet) into stripped text columns.

    Args:
        path: the file; or a folder of Parquet files that are one table.
        text: how it is written.
        wanted: read these of the site's columns only; none: all.

    Raises:
        DataError: the file is missing or is not such a table.
    """
    if not path.exists():
        raise DataError("There is no such file.", where=str(path), fix="Correct the path.")
    if path.is_dir():
        return _folder(path, wanted)
    if parquet.is_parquet(path.name):
        return read_parquet(path, wanted, where=str(path))
    return read_text(str(path), text, wanted, where=str(path), tabs=".tsv" in path.name.casefold())


def read_text(
    source: str | IO[bytes],
    text: TextFormat,
    wanted: Collection[str] | None,
    *,
    where: str,
    tabs: bool = False,
) -> pd.DataFrame:
    """Read separated text; see `read_table`."""
    separator = "\t" if tabs and text.separator == "," else text.separator
    with _explained(text, where):
        return _chosen(pd.read_csv(source, **_options(text, separator)), wanted)


def blocks(
    path: Path, text: TextFormat, wanted: Collection[str], rows: int = 1_000_000
) -> Iterator[pd.DataFrame]:
    """Read a file as `read_table` does, some rows at a time.

    Raises:
        DataError: the file is missing or is not such a table.
    """
    if not path.is_file() or parquet.is_parquet(path.name):
        yield read_table(path, text, wanted)
        return
    tabs = ".tsv" in path.name.casefold()
    separator = "\t" if tabs and text.separator == "," else text.separator
    with (
        _explained(text, str(path)),
        pd.read_csv(path, **_options(text, separator), chunksize=rows) as reader,
    ):
        for block in reader:
            yield _chosen(block, wanted)


def _options(text: TextFormat, separator: str) -> dict[str, Any]:
    """Return what pandas is told: everything is text, nothing is guessed."""
    return {
        "sep": separator,
        "engine": "c" if len(separator) == 1 else "python",
        "header": None if text.header else 0,
        "names": list(text.header) if text.header else None,
        "dtype": str,
        "na_filter": False,
        "encoding": text.encoding,
        "index_col": False,
        "skipinitialspace": True,
    }


@contextmanager
def _explained(text: TextFormat, where: str) -> Iterator[None]:
    """Turn what pandas raises into a sentence that does not quote the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # else fields are dropped
            yield
    except UnicodeError:
        raise DataError(
            f"The text is not in {text.encoding}.",
            where=where,
            fix="Set encoding in site.toml, for example 'latin-1' or 'utf-16'.",
        ) from None
    except (
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        OSError,
        OverflowError,
        pd.errors.ParserWarning,
        zlib.error,
    ) as error:
        raise DataError(
            _why(error), where=where, fix="Check separator, header and quotation marks."
        ) from None


def read_gzip(
    stream: IO[bytes], text: TextFormat, wanted: Collection[str] | None, *, where: str
) -> pd.DataFrame:
    """Read gzip-compressed separated text; see `read_table`."""
    with gzip.GzipFile(fileobj=stream) as unpacked:
        return read_text(unpacked, text, wanted, where=where)  # type: ignore[arg-type]


def _why(error: Exception) -> str:
    """Say what is wrong without quoting the file."""
    if isinstance(error, pd.errors.EmptyDataError):
        return "The file is empty."
    if isinstance(error, pd.errors.ParserError | pd.errors.ParserWarning):
        return f"The rows do not have the same number of fields{_uneven(str(error))}."
    if isinstance(error, OSError | EOFError | zipfile.BadZipFile | zlib.error):
        return "The file is damaged or cannot be read."
    return "The file is not a table of separated text."


def _uneven(said: str) -> str:
    """Take the numbers out of pandas' message, and nothing else."""
    found = re.search(r"Expected (\d+) (?:fields|columns) in line (\d+), saw (\d+)", said)
    return f": line {found[2]} has {found[3]}, not {found[1]}" if found else ""


def read_parquet(
    source: Path | IO[bytes], wanted: Collection[str] | None, *, where: str
) -> pd.DataFrame:
    """Read one Parquet file; see `read_table`."""
    frame, known = parquet.read(source, wanted, where=where)
    return _chosen(frame, None, known)


def _folder(path: Path, wanted: Collection[str] | None) -> pd.DataFrame:
    """Read a table that is written as several Parquet files."""
    parts = parquet.parts(path)
    if not parts:
        raise DataError("This is a folder, not a table.", where=str(path), fix="Name the file.")
    frames = [read_parquet(part, wanted, where=str(path)) for part in parts]
    if any(set(frame.columns) != set(frames[0].columns) for frame in frames):
        raise DataError("The folder's Parquet files have different columns.", where=str(path))
    whole = pd.concat(frames, ignore_index=True)
    whole.attrs = frames[0].attrs
    return whole


def _chosen(
    frame: pd.DataFrame, wanted: Collection[str] | None, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Keep the wanted columns, stripped; `attrs["columns"]` lists all that the file has."""
    frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    known = [name.strip() for name in names] if names else list(frame.columns)
    if wanted is not None:
        frame = frame[[name for name in frame.columns if name in wanted]]
    if frame.columns.duplicated().any():
        frame = frame.loc[:, ~frame.columns.duplicated()]
    if len(frame):
        frame = frame.apply(lambda column: column.fillna("").str.strip())
    frame.attrs["columns"] = known
    return frame


def require(
    frame: pd.DataFrame, names: Iterable[str], *, where: str, text: TextFormat, key: str = ""
) -> None:
    """Check that the site's columns are there.

    Args:
        frame: as `read_table` returns it.
        names: of the columns.
        where: the table, for messages.
        text: the data set's description, whose key that names the column is told.
        key: the key that names them all, where it is none of the data set itself.

    Raises:
        DataError: naming the first that is not, and the nearest that is.
    """
    for name in names:
        if name in frame.columns:
            continue
        known = frame.attrs.get("columns") or [str(column) for column in frame.columns]
        if len(known) <= 1 and text.header is None:
            hint = "It has a single column: check separator in site.toml. "
        else:
            hint = plugins.nearest(name, known)
        raise DataError(
            f"There is no column '{name}'.",
            where=where,
            fix=hint + (f"Correct {key} in site.toml." if key else column_keys.advice(name, text)),
        )


def kept(frame: pd.DataFrame, keep: Filter, *, where: str, text: TextFormat) -> pd.DataFrame:
    """Keep the rows where every column of the filter has one of its values.

    Raises:
        DataError: a column is not there, or no row is left.
    """
    require(frame, keep, where=where, text=text, key="`filter`")
    for name, values in keep.items():
        frame = frame[cells.matches(frame[name], values)]
        if frame.empty:
            wanted = " or ".join(repr(cells.as_text(value)) for value in values)
            raise DataError(
                f"No row is left where '{name}' is {wanted}.",
                where=where,
                fix="Check filter in site.toml: values are compared with upper and lower case.",
            )
    return frame


def joined(frame: pd.DataFrame, joins: Sequence[Join], text: TextFormat) -> pd.DataFrame:
    """Add the columns of other tables, one row for each key; unmatched rows stay, with blanks.

    Raises:
        DataError: a key column is missing, or a key has several rows.
    """
    for join in joins:
        where = str(join.path)
        other = read_table(join.path, text.model_copy(update={"header": None}))
        require(other, join.on, where=where, text=text, key="`on` of the join")
        require(other, join.columns or (), where=where, text=text, key="`columns` of the join")
        require(frame, join.on, where=f"join with {where}", text=text, key="`on` of the join")
        other = kept(other, join.filter, where=where, text=text)
        chosen = join.columns or [name for name in other.columns if name not in frame.columns]
        keys = list(join.on)
        double = int(other.duplicated(keys).sum())
        if double:
            raise DataError(
                f"{double} rows repeat a key of {', '.join(keys)}, so the join is not unique.",
                where=where,
                fix="Add filter = {column = value} to this join, or join on more columns.",
            )
        frame = frame.drop(columns=[name for name in chosen if name in frame.columns])
        frame = frame.merge(other[[*keys, *chosen]], how="left", on=keys)
        frame = frame.fillna("")
    return frame
