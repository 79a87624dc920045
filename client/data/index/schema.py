"""The index's SQLite file: what is in it, who may read it, and when it is begun anew."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from functools import cache
from importlib.util import find_spec
from pathlib import Path

VERSION = "1"
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE places (id INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, stamp BLOB NOT NULL);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, place INTEGER NOT NULL REFERENCES places ON DELETE CASCADE, key BLOB NOT NULL,
    member INTEGER NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL,
    digest BLOB, uid BLOB, reason TEXT);
CREATE TABLE slices (
    file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE, frame INTEGER NOT NULL, patient BLOB NOT NULL,
    series TEXT NOT NULL, instance INTEGER NOT NULL, rest TEXT NOT NULL);
CREATE UNIQUE INDEX files_by_key ON files (key);
CREATE INDEX files_by_place ON files (place, key);
CREATE INDEX files_by_uid ON files (uid, key) WHERE reason IS NULL;
CREATE INDEX refused ON files (key) WHERE reason IS NOT NULL;
CREATE INDEX slices_by_file ON slices (file, frame);
CREATE INDEX slices_by_patient ON slices (patient);
"""
"""A place is a folder or an archive; `member` counts the bytes of the archive's name in a member's key, else 0.

`key` is the relative name with every "/" of the file system as a zero byte, so that its order is the walk's.
"""


def open_index(path: Path | None, **about: str) -> sqlite3.Connection:
    """Open an index, or begin a new one where there is none, it is damaged, or it was made of something else.

    Args:
        path: the file; none: in memory.
        about: what it must have been made of and for.

    Raises:
        OSError, sqlite3.Error: it cannot be written here.
    """
    wanted = {**about, "reader": program("client.data.dicom", "client.data.deidentify.burnt_in")}
    if path is None:
        return _made(":memory:", wanted)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        connection = _connected(str(path))
        try:
            if dict(connection.execute("SELECT name, value FROM about")).items() >= wanted.items():
                return connection
        except sqlite3.Error:
            pass
        connection.close()
    except sqlite3.Error:
        pass
    discard(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return _made(str(path), wanted)


def discard(path: Path) -> None:
    """Remove an index; it can always be made again."""
    for ending in ("", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _made(path: str, about: dict[str, str]) -> sqlite3.Connection:
    connection = _connected(path)
    connection.executescript(_TABLES)
    connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
    connection.commit()
    return connection


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60.0)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute(
        "PRAGMA secure_delete = ON"
    )  # a patient who was removed leaves no trace in free pages
    return connection


@cache
def program(*modules: str) -> str:
    """Return a digest of modules and packages that read DICOM: another version reads the files again."""
    import pydicom

    digest = hashlib.sha256(f"{VERSION} {pydicom.__version__}".encode())
    for module in modules:
        spec = find_spec(module)
        place = Path(spec.origin or "") if spec is not None else Path()
        package = place.name == "__init__.py"
        for file in sorted(place.parent.rglob("*.py")) if package else [place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
