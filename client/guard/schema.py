"""The log's SQLite schema as the sum of small steps: a new file takes all of them, an old one those it lacks.

A step adds tables, indexes and triggers and never touches an entry: hashes cover the entries, so that rewriting one
would be forgery. A new kind of entry or a new key is a step, too, with nothing to execute: it makes an older Consilium
say "install a later one" where it would otherwise take the entry for a forgery.

The entries record the version too, as `schema` of the first and `to` of the newest "migrated" one, so that a damaged
number in the file's header is not taken for another version.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from common.errors import MachineError, TamperedError

ORIGIN = "0" * 64
APPLICATION = 0x434F4E53  # "CONS"
_RECORDED = """SELECT body FROM entries WHERE kind IN ('open', 'migrated')
    ORDER BY seq DESC LIMIT 1"""

STEPS: Mapping[int, tuple[str, ...]] = {
    1: (
        f"PRAGMA application_id = {APPLICATION}",
        """CREATE TABLE entries (
            seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,
            body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL)""",
        """CREATE TRIGGER no_update BEFORE UPDATE ON entries
            BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END""",
        """CREATE TRIGGER no_delete BEFORE DELETE ON entries
            BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END""",
        """CREATE TRIGGER in_order BEFORE INSERT ON entries
            WHEN NEW.seq IS NOT (SELECT COALESCE(MAX(seq), 0) + 1 FROM entries)
            BEGIN SELECT RAISE(ABORT, 'entries are only added at the end'); END""",
    ),
    # 2: a second record of where the log ends, on a page of its own: a damaged last page can lose the newest entries
    # and leave a sound shorter chain, which would forget what was spent. Also the entries "source" and "migrated",
    # and reservations that name a population.
    2: (
        """CREATE TABLE newest (
            one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL)""",
        "INSERT INTO newest SELECT 1, seq, hash FROM "
        f"(SELECT seq, hash FROM entries UNION ALL SELECT 0, '{ORIGIN}') ORDER BY seq DESC LIMIT 1",
        """CREATE TRIGGER linked BEFORE INSERT ON entries
            WHEN NEW.previous IS NOT (SELECT hash FROM newest)
            BEGIN SELECT RAISE(ABORT, 'entries are only added after the newest one'); END""",
        """CREATE TRIGGER keep_newest AFTER INSERT ON entries
            BEGIN UPDATE newest SET seq = NEW.seq, hash = NEW.hash; END""",
    ),
    # 3: the entries "approve", "revoke" and "restored".
    3: (),
    # 4: settlements that name the newest entry of the egress log.
    4: (),
}
SCHEMA_VERSION = max(STEPS)


def upgrade(connection: sqlite3.Connection, before: int) -> None:
    """Take the steps that come after version `before` (0: an empty file); the caller holds the transaction."""
    for version in range(before + 1, SCHEMA_VERSION + 1):
        for statement in STEPS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of a log.

    Raises:
        TamperedError: the file is no log.
        MachineError: a later Consilium wrote it.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION or version < 1:
        raise TamperedError(
            "The file is not a log of Consilium, or it was emptied.",
            where=str(path),
            fix="Check the path, or go back to a copy that verifies.",
        )
    if version != SCHEMA_VERSION:
        _check_recorded(connection, version, path)
    if version > SCHEMA_VERSION:
        raise MachineError(
            f"The log has schema version {version}; this Consilium knows {SCHEMA_VERSION}.",
            where=str(path),
            fix="Install the Consilium that wrote it, or a later one.",
        )
    return int(version)


def _check_recorded(connection: sqlite3.Connection, version: int, path: Path) -> None:
    """Tell a damaged header from another version, as far as the entries can be read."""
    try:
        said = json.loads(connection.execute(_RECORDED).fetchone()[0])
        recorded = said.get("to", said.get("schema", version))
    except (sqlite3.Error, ValueError, TypeError, AttributeError):
        return
    if recorded != version:
        raise TamperedError(
            f"The log's header says schema version {version}, its entries say {recorded}.",
            where=str(path),
            fix="The header is damaged: keep the file as evidence and go back to a copy that verifies.",
        )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from before the first read to the commit; undo everything on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
