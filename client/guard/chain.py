"""An append-only log whose entries are chained by hashes, in one SQLite file.

Each entry has `hash` = sha256 of the UTF-8 text `json.dumps([seq, at, kind, body, previous],
sort_keys=True, separators=(",", ":"))`, with `body` the JSON object and `previous` the hash of the
entry before (64 zeros for the first). Anyone can check an export with Python's standard library
alone. Cutting off the newest entries leaves a sound shorter chain: only somebody who knows a later
head (such as the coordinator, who gets it with each reply) sees that.

The file is made whole under another name and linked into place, so an empty or half-made log is
never a new one. Connections live for one operation: a process may hold a thousand logs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from client.guard.storage_errors import translated
from common.errors import MachineError, TamperedError

SCHEMA_VERSION = 1
ORIGIN = "0" * 64
_APPLICATION = 0x434F4E53  # "CONS"
_BUSY_SECONDS = 60.0
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TRIGGER no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TRIGGER in_order BEFORE INSERT ON entries
    WHEN NEW.seq IS NOT (SELECT COALESCE(MAX(seq), 0) + 1 FROM entries)
    BEGIN SELECT RAISE(ABORT, 'entries are only added at the end'); END;
"""
# A number below 1 is a forgery and must not hide an entry from those who ask for the newest.
_COLUMNS = """SELECT seq, at, kind, body, previous, hash FROM entries
    WHERE seq > ? OR seq < 1 ORDER BY seq"""

T = TypeVar("T")


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
class Verified:
    """What a walk along the chain found.

    Attributes:
        entries: sound entries before the end or the break.
        head: hash of the last sound entry.
        broken_at: number of the first entry that does not hold; None when all do.
        reason: why it does not; empty when all do.
    """

    entries: int
    head: str
    broken_at: int | None = None
    reason: str = ""

    @property
    def intact(self) -> bool:
        """Whether every entry holds."""
        return self.broken_at is None


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


class Chain:
    """The log in one file; opened for each operation and closed after it.

    Args:
        path: the file.
        writable: False for an auditor, who changes nothing, not even to undo a write that a crash
            interrupted.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path = path
        self._mode = "rw" if writable else "ro"

    def create(self, kind: str, body: Mapping[str, Any]) -> None:
        """Make the file with its first entry, mode 600; leave an existing file alone."""
        if self.path.exists():
            return
        with translated(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{os.urandom(4).hex()}")
            try:
                os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                with self._connection(draft) as connection:
                    connection.executescript(_SCHEMA)
                    Writer(connection, self.path).append(kind, body)
                _publish(draft, self.path)
            finally:
                draft.unlink(missing_ok=True)

    def write(self, change: Callable[[Writer], T]) -> T:
        """Run `change` alone: the write lock is held from before its first read to its commit.

        Raises:
            MachineError: the file stays locked, is read-only, or the disk is full.
            TamperedError: the file is damaged or not a log.
        """
        with translated(self.path), self._connection(self.path) as connection:
            self._require_log(connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = change(Writer(connection, self.path))
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return result

    def read(self, after: int = 0, previous: str = ORIGIN) -> Iterator[Entry]:
        """Stream the entries after number `after`, whose hash was `previous`, checking each.

        Raises:
            BrokenChain: at the first entry that does not hold.
        """
        with translated(self.path), self._connection(self.path) as connection:
            self._require_log(connection)
            yield from _checked(connection, self.path, after, previous)

    def verify(self, visit: Callable[[Entry], None] = lambda entry: None) -> Verified:
        """Walk the whole chain, showing each sound entry to `visit`.

        Raises:
            MachineError: the file cannot be read now (locked, no permission, newer version).
        """
        entries, head = 0, ORIGIN
        try:
            for entry in self.read():
                visit(entry)
                entries, head = entry.seq, entry.hash
        except BrokenChain as error:
            return Verified(entries, head, error.seq, error.reason)
        except TamperedError as error:
            return Verified(entries, head, entries + 1, error.what)
        if entries == 0:
            return Verified(0, ORIGIN, 1, "the log is empty: even its first entry is missing")
        return Verified(entries, head)

    @contextmanager
    def _connection(self, path: Path) -> Iterator[sqlite3.Connection]:
        address = f"{path.absolute().as_uri()}?mode={self._mode}"
        with closing(
            sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA synchronous = EXTRA")  # a commit is on disk, name and all
            yield connection

    def _require_log(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION or version < 1:
            raise TamperedError(
                "The file is not a log of Consilium, or it was emptied.",
                where=str(self.path),
                fix="Check the path, or go back to a copy that verifies.",
            )
        if version > SCHEMA_VERSION:
            raise MachineError(
                f"The log has schema version {version}; this Consilium knows {SCHEMA_VERSION}.",
                where=str(self.path),
                fix="Install the Consilium that wrote it, or a later one.",
            )


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
        return _checked(self._connection, self._path, after, previous)

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


def _checked(
    connection: sqlite3.Connection, path: Path, after: int, previous: str
) -> Iterator[Entry]:
    """The entries after number `after`, each checked against the one before."""
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


def _publish(draft: Path, path: Path) -> None:
    """Give a finished file its name, unless another process was first; sync the folder."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            os.rename(draft, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
