"""What an index answers: who is there, which slices each patient has, what was left out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from client.data.dicom.slices import Slice
from client.data.index.listing import file_of
from client.data.index.lock import locked
from client.data.index.schema import discard, open_index
from client.data.index.update import FINGERPRINT, Pass, update
from client.data.quarantine import QuarantineLog
from common.errors import DataError

_FIRST = """files.reason IS NULL AND NOT (files.uid != x'' AND EXISTS (
    SELECT 1 FROM files AS other WHERE other.uid = files.uid AND other.key < files.key AND other.reason IS NULL))"""
_FILE = "files.key, files.member, files.size, files.modified"
_ROW = "slices.frame, slices.patient, slices.series, slices.instance, slices.rest"


class Archive:
    """A data set's index, up to date; of its slices only those that are asked for are in memory.

    Args:
        connection: the index.
        root: what it is about.
        done: what the pass before did.
    """

    def __init__(self, connection: sqlite3.Connection, root: Path, done: Pass) -> None:
        self._sql = connection
        self._root = f"{root}/" if root.is_dir() else str(root)
        self.done = done

    def patients(self) -> Iterator[str]:
        """Yield the patients who have usable slices, sorted."""
        sql = "SELECT DISTINCT patient FROM slices ORDER BY patient"
        for (patient,) in self._sql.execute(sql):
            yield patient.decode("utf-8", "surrogatepass")

    def slices(self, patient: str) -> list[Slice]:
        """Return a patient's slices in the order of the files; of files with one UID only the first."""
        who = patient.encode("utf-8", "surrogatepass")
        return list(self._found(f"slices.patient = ? AND {_FIRST} ORDER BY files.key, frame", who))

    def names(self, patient: str) -> Iterator[str]:
        """Yield the names of a patient's files in their order; of files with one UID only the first."""
        sql = f"""SELECT DISTINCT {_FILE} FROM slices JOIN files ON files.id = file
            WHERE slices.patient = ? AND {_FIRST} ORDER BY files.key"""
        who = patient.encode("utf-8", "surrogatepass")
        for row in self._sql.execute(sql, (who,)):
            yield file_of(self._root, *row).name

    def everything(self) -> Iterator[Slice]:
        """Yield all slices in the order of the files."""
        return self._found(f"{_FIRST} ORDER BY files.key, frame")

    def _found(self, where: str, *values: object) -> Iterator[Slice]:
        sql = f"SELECT {_FILE}, {_ROW} FROM slices JOIN files ON files.id = file WHERE {where}"
        for key, member, size, modified, frame, patient, *rest in self._sql.execute(sql, values):
            file = file_of(self._root, key, member, size, modified)
            who = patient.decode("utf-8", "surrogatepass")
            yield Slice.from_row(file, (frame, who, rest[0], rest[1], rest[2]))

    def under_two_patients(self) -> int:
        """Count the images, by UID, that lie there under more than one patient."""
        sql = """SELECT COUNT(*) FROM (SELECT uid FROM files JOIN slices ON slices.file = files.id
            WHERE reason IS NULL AND uid != x'' GROUP BY uid HAVING COUNT(DISTINCT patient) > 1)"""
        return int(self._sql.execute(sql).fetchone()[0])

    def refuse(self, log: QuarantineLog, besides: Collection[Path] = ()) -> None:
        """Note what was left out, in the order of the files.

        Args:
            log: gets every file and its reason.
            besides: files that lie there for other reasons (the labels, site.toml).
        """
        others = {str(other) for other in besides}
        sql = f"""SELECT {_FILE}, COALESCE(reason, 'duplicate') FROM files
            WHERE reason IS NOT NULL OR NOT ({_FIRST}) ORDER BY key"""
        for *row, reason in self._sql.execute(sql):
            file = file_of(self._root, row[0], row[1], row[2], row[3])
            if file.path not in others:
                log.add(file.name, reason)

    def fingerprint(self) -> str:
        """Return a digest of every file's name and content, and of what was left out."""
        sql = "SELECT value FROM about WHERE name = ?"
        kept = self._sql.execute(sql, (FINGERPRINT,)).fetchone()
        if kept is not None:
            return str(kept[0])
        digest = hashlib.sha256()
        for row in self._sql.execute("SELECT key, digest, reason FROM files ORDER BY key"):
            digest.update(repr(row).encode())
        self._sql.execute(
            "INSERT OR REPLACE INTO about VALUES (?, ?)", (FINGERPRINT, digest.hexdigest())
        )
        self._sql.commit()
        return digest.hexdigest()


@runtime_checkable
class Indexed(Protocol):
    """A source that reads from an index.

    Attributes:
        archive: set before `load`; none: the source makes an index for itself.
        order: what patients are best read in the order of: that of the cohort, which then need not move their samples.
    """

    archive: Archive | None
    order: Callable[[str], Any]


@contextmanager
def archive(root: Path, modality: str, place: Path | None = None) -> Iterator[Archive]:
    """Bring a data set's index up to date and hold it, so that no other process changes it meanwhile.

    Args:
        root: the folder, archive or file.
        modality: the study's.
        place: the index's file, in the site's private folder; none: in memory, for this time only.

    Raises:
        DataError: there is no such folder.
    """
    if not root.exists():
        raise DataError("There is no such folder.", where=str(root), fix="Correct the path.")
    with locked(place) as writable:
        connection, done = _updated(root, modality, place if writable else None)
        try:
            yield Archive(connection, root, done)
        finally:
            connection.close()


def _updated(root: Path, modality: str, place: Path | None) -> tuple[sqlite3.Connection, Pass]:
    """Bring the index up to date; one that is damaged is made anew, one that cannot be written is made in memory."""
    about = {"root": str(root), "modality": modality}
    for where in (place, place, None):
        connection = None
        try:
            connection = open_index(where, **about)
            return connection, update(connection, root, modality)
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            if where is None:
                raise
            if isinstance(error, sqlite3.DatabaseError):
                with suppress(OSError):
                    discard(where)
    raise AssertionError("the index in memory either works or raises")
