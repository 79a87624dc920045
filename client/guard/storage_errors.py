"""SQLite's and the file system's errors, as errors for people."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConsiliumError, MachineError, TamperedError

# Primary code → what is wrong and how to mend it; the machine's doing, not a forger's.
_MACHINE = {
    sqlite3.SQLITE_BUSY: (
        "The log is locked by another process.",
        "Wait for the other agent to finish, or stop it; nothing was written.",
    ),
    sqlite3.SQLITE_LOCKED: (
        "The log is locked by another process.",
        "Wait for the other agent to finish, or stop it; nothing was written.",
    ),
    sqlite3.SQLITE_FULL: (
        "The disk is full; nothing was written to the log.",
        "Free some space and run the command again.",
    ),
    sqlite3.SQLITE_READONLY: (
        "The log cannot be written, or an interrupted write waits to be undone.",
        "Give its owner the right to write the file and its folder.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The log cannot be opened.",
        "Check that it exists and that you may read it.",
    ),
    sqlite3.SQLITE_PERM: ("The log cannot be opened.", "Check that you may read it."),
    sqlite3.SQLITE_IOERR: (
        "The disk failed while the log was read or written.",
        "Check the disk, its free space and its mount; then run the command again.",
    ),
    sqlite3.SQLITE_NOMEM: ("The machine ran out of memory.", "Free some and run it again."),
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn storage errors into `MachineError` and damage into `TamperedError`."""
    try:
        yield
    except ConsiliumError:
        raise
    except sqlite3.Error as error:
        raise _from_sqlite(error, path) from error
    except UnicodeDecodeError as error:  # SQLite quotes damaged text, which Python then cannot read
        raise _damaged("its text is not UTF-8", path) from error
    except OSError as error:
        raise _from_system(error, path) from error


def _from_sqlite(error: sqlite3.Error, path: Path) -> ConsiliumError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in _MACHINE:
        what, fix = _MACHINE[primary]
        return MachineError(what, where=str(path), fix=fix)
    return _damaged(str(error), path)


def _damaged(how: str, path: Path) -> TamperedError:
    return TamperedError(
        f"The log is damaged or not a log ({how}).",
        where=str(path),
        fix="Keep the file as evidence and go back to a copy that verifies.",
    )


def _from_system(error: OSError, path: Path) -> ConsiliumError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "The disk is full" if full else f"The log cannot be used: {error.strerror}"
    fix = "Free some space" if full else "Check the path and its permissions"
    return MachineError(f"{what}.", where=str(path), fix=f"{fix} and run the command again.")
