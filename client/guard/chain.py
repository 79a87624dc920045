"""An append-only log whose entries are chained by hashes, in one SQLite file.

Cutting off the newest entries, and the file's own count of them, leaves a sound shorter chain: only somebody who knows
a later head (such as the coordinator, who gets it with each reply) sees that.

The file is made whole under another name and linked into place, so an empty or half-made log is
never a new one. Connections live for one operation: a process may hold a thousand logs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from client.guard.entries import BrokenChain, Entry, Writer, checked
from client.guard.publish import publish
from client.guard.schema import ORIGIN, SCHEMA_VERSION, transaction, upgrade, version_of
from client.guard.storage_errors import translated
from common.errors import TamperedError

_BUSY_SECONDS = 60.0

T = TypeVar("T")


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


class Chain:
    """The log in one file; opened for each operation and closed after it.

    Args:
        path: the file.
        writable: False for an auditor, who changes nothing: neither an old schema nor, after a crash, a write that
            was interrupted.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path = path
        self._mode = "rw" if writable else "ro"

    def create(self, kind: str, body: Mapping[str, Any]) -> None:
        """Make the file with its first entry, mode 600; leave an existing file alone."""
        if self.path.exists():
            return
        with (
            translated(self.path),
            publish(self.path, mode=0o600) as draft,
            self._connection(draft) as connection,
            transaction(connection),
        ):
            upgrade(connection, 0)
            Writer(connection, self.path).append(kind, body)

    def write(self, change: Callable[[Writer], T]) -> T:
        """Run `change` alone: the write lock is held from before its first read to its commit.

        A log of an older schema is migrated before, in a transaction of its own.

        Raises:
            MachineError: the file stays locked, is read-only, or the disk is full.
            TamperedError: the file is damaged or not a log.
        """
        with translated(self.path), self._connection(self.path) as connection:
            if version_of(connection, self.path) < SCHEMA_VERSION:
                self._migrate(connection)
            with transaction(connection):
                version_of(connection, self.path)  # a later Consilium may have been quicker
                return change(Writer(connection, self.path))

    def read(self, after: int = 0, previous: str = ORIGIN) -> Iterator[Entry]:
        """Stream the entries after number `after`, whose hash was `previous`, checking each.

        Raises:
            BrokenChain: at the first entry that does not hold.
        """
        with translated(self.path), self._connection(self.path) as connection:
            connection.execute("BEGIN")  # entries and their count, of one moment
            counted = version_of(connection, self.path) >= 2
            yield from checked(connection, self.path, after, previous, counted=counted)

    def verify(self, visit: Callable[[Entry], None] = lambda entry: None) -> Verified:
        """Walk the whole chain, showing each sound entry to `visit`, and look at every page of the file.

        Raises:
            MachineError: the file cannot be read now (locked, no permission, newer version).
        """
        entries, head = 0, ORIGIN
        try:
            for entry in self.read():
                visit(entry)
                entries, head = entry.seq, entry.hash
            self.check_pages()
        except BrokenChain as error:
            return Verified(entries, head, error.seq, error.reason)
        except TamperedError as error:
            return Verified(entries, head, entries + 1, error.what)
        if entries == 0:
            return Verified(0, ORIGIN, 1, "the log is empty: even its first entry is missing")
        return Verified(entries, head)

    def check_pages(self) -> None:
        """Have SQLite look at every page; a tree with a damaged branch can hide entries.

        Raises:
            TamperedError: a page is damaged.
        """
        with translated(self.path), self._connection(self.path) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(str(found).strip().splitlines()[-1])

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Add what the file's schema lacks, and note that; all of it or nothing, and only on a chain that holds.

        No copy of the old file is left behind: it could be taken for the ledger later, and would forget charges.
        """
        with transaction(connection):
            before = version_of(connection, self.path)
            if before == SCHEMA_VERSION:  # another process was first
                return
            for _ in checked(connection, self.path, 0, ORIGIN, counted=before >= 2):
                pass
            upgrade(connection, before)
            Writer(connection, self.path).append("migrated", {"from": before, "to": SCHEMA_VERSION})

    @contextmanager
    def _connection(self, path: Path) -> Iterator[sqlite3.Connection]:
        address = f"{path.absolute().as_uri()}?mode={self._mode}"
        with closing(
            sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA synchronous = EXTRA")  # a commit is on disk, name and all
            yield connection
