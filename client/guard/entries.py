"""Entries of the log: how each is hashed, checked against the one before, and added.

Each entry has `hash` = sha256 of the UTF-8 text `json.dumps([seq, at, kind, body, previous],
sort_keys=True, separators=(",", ":"))`, with `body` the JSON object and `previous` the hash of the
entry before (64 zeros for the first). Anyone can check an export with Python's standard library
alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client.guard.schema import ORIGIN
from common.errors import TamperedError

# A number below 1 is a forgery and must not hide an entry from those who ask for the newest.
_COLUMNS = """SELECT seq, at, kind, body, previous, hash FROM entries
    WHERE seq > ? OR seq < 1 ORDER BY seq"""
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One link of the chain; `body` is what it says, and `hash` covers all the rest."""

    seq: int
    at: str
    kind: str
    body: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Mark:
    """An entry that another log remembers; so is everything before it, which its hash covers.

    Attributes:
        entries: its number.
        head: its hash.
    """

    entries: int
    head: str

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Mark:
        """Return what another log says.

        Raises:
            TypeError, KeyError, ValueError: it is no entry's number and hash.
        """
        mark = cls(said["entries"], said["head"])
        if type(mark.entries) is not int or not isinstance(mark.head, str) or len(said) != 2:
            raise TypeError("a mark is a number and a hash")
        if mark.entries < 1 or not _HASH.fullmatch(mark.head):
            raise ValueError("a mark is of an entry")
        return mark


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(seq: int, at: str, kind: str, body: Mapping[str, Any], previous: str) -> str:
    """The hash of an entry (lower-case hex)."""
    return hashlib.sha256(canonical([seq, at, kind, body, previous]).encode()).hexdigest()


class BrokenChain(TamperedError):
    """An entry does not hold; `seq` is its number and `sound` the head just before it."""

    def __init__(self, reason: str, *, path: Path, seq: int, sound: str) -> None:
        super().__init__(
            f"Entry {seq} does not hold: {reason}.",
            where=str(path),
            fix="Keep the file as evidence and go back to a copy that verifies.",
        )
        self.reason = reason
        self.seq = seq
        self.sound = sound


class Writer:
    """What may be done to a log while its write lock is held.

    Attributes:
        appended: the entries added under this lock.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self.appended: list[Entry] = []

    def read(self, after: int = 0, previous: str = ORIGIN) -> Iterator[Entry]:
        """As `Chain.read`, inside the lock."""
        return checked(self._connection, self._path, after, previous, counted=True)

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Add an entry after the last one, with the time of now (UTC)."""
        last = self._connection.execute(
            "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        seq, previous = (last[0] + 1, last[1]) if last else (1, ORIGIN)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = canonical(body)
        stored = json.loads(text)
        entry = Entry(seq, at, kind, stored, previous, digest(seq, at, kind, stored, previous))
        self._connection.execute(
            "INSERT INTO entries (seq, at, kind, body, previous, hash) VALUES (?, ?, ?, ?, ?, ?)",
            (seq, at, kind, text, previous, entry.hash),
        )
        self.appended.append(entry)
        return entry


def checked(
    connection: sqlite3.Connection, path: Path, after: int, previous: str, *, counted: bool
) -> Iterator[Entry]:
    """The entries after number `after`, each checked against the one before.

    Args:
        connection: within a transaction, so that all is of one moment.
        path: for messages.
        after, previous: number and hash of the last entry that the caller knows.
        counted: the log keeps a second record of its end (schema 2), which must agree.

    Raises:
        BrokenChain: at the first entry that does not hold.
    """
    if after:
        row = connection.execute("SELECT hash FROM entries WHERE seq = ?", (after,)).fetchone()
        if row is None or row[0] != previous:
            reason = "entries that were there before are gone or changed"
            raise BrokenChain(reason, path=path, seq=after, sound=ORIGIN)
    for row in connection.execute(_COLUMNS, (after,)):
        reason = _fault(row, after + 1, previous)
        if reason:
            raise BrokenChain(reason, path=path, seq=after + 1, sound=previous)
        seq, at, kind, body, _, own = row
        yield Entry(seq, at, kind, json.loads(body), previous, own)
        after, previous = seq, own
    ends = connection.execute("SELECT seq, hash FROM newest").fetchall() if counted else []
    if counted and ends != [(after, previous)]:
        reason = (
            "the file's own record of its newest entry does not agree: entries were lost at the end"
        )
        raise BrokenChain(reason, path=path, seq=after + 1, sound=previous)


def _fault(row: tuple[Any, ...], expected: int, previous: str) -> str:
    """Why a stored row does not hold as entry number `expected`; empty when it does."""
    seq, at, kind, body, link, own = row
    if not all(isinstance(text, str) for text in (at, kind, body, link, own)):
        return "it was changed (a field has another type)"
    if seq != expected:
        return f"it is missing (the next one there is {seq})"
    if link != previous:
        return "it does not follow the entry before"
    try:
        parsed = json.loads(body)
        sound = isinstance(parsed, dict) and canonical(parsed) == body
        sound = sound and digest(seq, at, kind, parsed, link) == own
    except (ValueError, RecursionError):
        sound = False
    return "" if sound else "it was changed after it was written"
