"""Brings an index up to date: one pass over the files' names and times, and a look into those that are new.

What was read is kept every few seconds, so that a pass that is interrupted goes on where it was.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from client.data.files import File
from client.data.index.listing import Entry, Place, places
from client.data.index.reading import read_header
from client.data.workers.pool import outcomes
from client.data.workers.wire import UNREADABLE, Outcome, Refused

SETTLED_NS = 2_000_000_000
"""A file that changed less than this before it was read may change again within the same tick of its clock."""
COMMIT_SECONDS = 2.0
FINGERPRINT = "fingerprint"


@dataclass
class Pass:
    """What a pass did.

    Attributes:
        read: files that were opened, because they are new or changed.
        removed: files that are gone.
    """

    read: int = 0
    removed: int = 0

    @property
    def changed(self) -> bool:
        """Tell whether the index is another one than before."""
        return bool(self.read or self.removed)


def update(connection: sqlite3.Connection, root: Path, modality: str) -> Pass:
    """Bring an index up to date.

    Args:
        connection: the index; nobody else may be writing it.
        root: the folder, archive or file that it is about.
        modality: the study's; files of others are noted as such.

    Raises:
        sqlite3.Error: the index is damaged or cannot be written.
    """
    return _Update(connection, root, modality).run()


class _Update:
    def __init__(self, connection: sqlite3.Connection, root: Path, modality: str) -> None:
        self._sql = connection
        self._root = root
        self._modality = modality
        self._done = Pass()
        self._started = time.time_ns()
        self._sent: dict[int, tuple[int, Entry]] = {}
        self._open: Counter[int] = Counter()
        self._stamps: dict[int, bytes] = {}

    def run(self) -> Pass:
        self._sql.execute("CREATE TEMP TABLE IF NOT EXISTS seen (id INTEGER PRIMARY KEY)")
        self._sql.execute("DELETE FROM seen")
        committed = time.monotonic()
        for number, outcome in outcomes(read_header, self._jobs()):
            self._store(number, outcome)
            if time.monotonic() - committed > COMMIT_SECONDS:
                self._sql.commit()
                committed = time.monotonic()
        self._sweep()
        self._sql.commit()
        return self._done

    def _sweep(self) -> None:
        """Forget the places that are gone."""
        gone = "FROM places WHERE id NOT IN (SELECT id FROM seen)"
        count = f"SELECT COUNT(*) FROM files WHERE place IN (SELECT id {gone})"
        removed = self._sql.execute(count).fetchone()[0]
        if removed:
            self._count(removed=removed)
        self._sql.execute(f"DELETE {gone}")

    def _count(self, *, read: int = 0, removed: int = 0) -> None:
        """Count changes; with the first one the fingerprint is out of date, whatever happens to this process."""
        if not self._done.changed:
            self._sql.execute("DELETE FROM about WHERE name = ?", (FINGERPRINT,))
        self._done.read += read
        self._done.removed += removed

    def _jobs(self) -> Iterator[tuple[File, str]]:
        """Compare every place with the index; yield what must be read."""
        number = 0
        for place in places(self._root):
            known = self._place(place)
            self._sql.execute("INSERT INTO seen VALUES (?)", (known,))
            if known in self._stamps:
                for entry in self._differing(known, place):
                    self._sent[number] = (known, entry)
                    self._open[known] += 1
                    number += 1
                    yield entry.file, self._modality
                self._close(known)

    def _place(self, place: Place) -> int:
        """Return a place's id; one that has changed is noted in `_stamps` with what it shall be stamped."""
        sql = "SELECT id, stamp FROM places WHERE key = ?"
        known: tuple[int, bytes] | None = self._sql.execute(sql, (place.key,)).fetchone()
        if known is not None and known[1] == place.stamp:
            return known[0]
        self._sql.execute(
            "INSERT INTO places VALUES (NULL, ?, x'') ON CONFLICT (key) DO UPDATE SET stamp = x''",
            (place.key,),
        )
        number: int = self._sql.execute(sql, (place.key,)).fetchone()[0]
        unsettled = place.newest_ns > self._started - SETTLED_NS
        self._stamps[number] = b"" if unsettled else place.stamp
        self._open[number] = 1  # until all of it is listed
        return number

    def _differing(self, place: int, listed: Place) -> Iterator[Entry]:
        """Walk a place and the index's rows of it side by side, both in the order of their keys."""
        rows = self._sql.cursor()
        rows.execute(
            "SELECT key, size, modified, changed FROM files WHERE place = ? ORDER BY key", (place,)
        )
        row = rows.fetchone()
        last = None
        for entry in listed.entries():
            if entry.key == last:
                continue
            last = entry.key
            while row is not None and row[0] < entry.key:
                self._remove(row[0])
                row = rows.fetchone()
            same = row is not None and row[0] == entry.key
            known = row[1:] if same and row is not None else None
            if same:
                row = rows.fetchone()
            if known == (entry.file.size, entry.file.modified_ns, entry.changed_ns):
                continue
            if entry.reason is None:
                yield entry
            else:
                self._write(place, entry, ["", "", [], entry.reason])
                self._count(read=1)
        while row is not None:
            self._remove(row[0])
            row = rows.fetchone()

    def _remove(self, key: bytes) -> None:
        self._sql.execute("DELETE FROM files WHERE key = ?", (key,))
        self._count(removed=1)

    def _store(self, number: int, outcome: Outcome) -> None:
        place, entry = self._sent.pop(number)
        found = ["", "", [], outcome.reason] if isinstance(outcome, Refused) else outcome.value
        self._write(place, entry, found, retry=outcome == UNREADABLE)
        if outcome == UNREADABLE:
            self._stamps[place] = b""
        self._count(read=1)
        self._close(place)

    def _write(self, place: int, entry: Entry, found: list[object], *, retry: bool = False) -> None:
        digest, uid, slices, reason = found
        assert isinstance(slices, list)
        self._sql.execute("DELETE FROM files WHERE key = ?", (entry.key,))
        newest = max(entry.changed_ns, entry.file.modified_ns)
        again = retry or newest > self._started - SETTLED_NS
        changed = -1 if again else entry.changed_ns
        file = self._sql.execute(
            "INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(place, entry.key, entry.member, entry.file.size, entry.file.modified_ns, changed),
                *(bytes.fromhex(str(digest)), encoded(str(uid)), reason),
            ),
        ).lastrowid
        self._sql.executemany(
            "INSERT INTO slices VALUES (?, ?, ?, ?, ?, ?)",
            [(file, frame, encoded(who), *rest) for frame, who, *rest in slices],
        )

    def _close(self, place: int) -> None:
        """Stamp a place when all of it is listed and read."""
        self._open[place] -= 1
        if not self._open[place]:
            del self._open[place]
            stamp = (self._stamps.pop(place), place)
            self._sql.execute("UPDATE places SET stamp = ? WHERE id = ?", stamp)


def encoded(text: str) -> bytes:
    """Return text as the index keeps it: whatever a damaged file holds can be kept."""
    return text.encode("utf-8", "surrogatepass")
