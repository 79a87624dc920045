"""Can the site write what it must write before anything may leave: ledger, egress log and spool?"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from client.control.health import Reason
from client.guard.storage_errors import translated
from client.site_folder import SiteFolder
from common.errors import ConsiliumError
from common.files import explain_os_error

LEAST_FREE = 256 << 20
"""Bytes of disk below which no round is begun with confidence: a spooled reply and the ledger must fit."""

LOW_FREE = 2 << 30
LOCK_SECONDS = 2.0


def log_reasons(folder: SiteFolder) -> Iterator[Reason]:
    """Take the write locks of ledger and egress log and give them back; nothing is written."""
    for check, path in (("ledger", folder.ledger), ("egress", folder.egress_log)):
        try:
            _writable_folder(path.parent)
            if path.exists():
                _lock(path)
        except ConsiliumError as error:
            name = "ledger" if check == "ledger" else "egress log"
            yield Reason(
                check,
                f"The {name} cannot be written, so nothing may leave: {error.what}",
                error.fix,
            )


def _writable_folder(folder: Path) -> None:
    """SQLite needs a journal beside its file."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise explain_os_error(PermissionError(errno.EACCES, "no permission to write"), folder)


def _lock(path: Path) -> None:
    address = f"{path.absolute().as_uri()}?mode=rw"
    with (
        translated(path),
        closing(sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS)) as connection,
    ):
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def disk_reasons(folder: Path, least: int = LEAST_FREE) -> Iterator[Reason]:
    """Say when the disk is about to be full."""
    try:
        free = shutil.disk_usage(folder).free
        names = os.statvfs(folder)
    except OSError as error:
        yield Reason(
            "disk",
            f"The site's private folder cannot be read ({error.strerror}).",
            "See that its disk is mounted and that the service's user may read it.",
        )
        return
    if free < least:
        yield Reason(
            "disk",
            f"Only {free >> 20} MiB of disk are free; {least >> 20} MiB are needed to answer safely.",
            f"Free some space on the disk of {folder}.",
        )
    elif names.f_files and not names.f_favail:
        yield Reason(
            "disk",
            "The disk has no room for another file (no free inodes).",
            f"Remove files on the disk of {folder}.",
        )


def disk_notes(folder: Path) -> Iterator[str]:
    """Warn while there is still time."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if LEAST_FREE <= free < LOW_FREE:
        yield f"The disk gets full: {free >> 20} MiB are left."


def spool_reasons(folder: SiteFolder) -> Iterator[Reason]:
    """Write a file without a name where replies are kept before they leave."""
    place = folder.states if folder.states.is_dir() else folder.private
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        problem = explain_os_error(error, place)
        yield Reason(
            "spool",
            f"Replies cannot be kept before they leave, so none leaves: {problem.what}",
            f"Free space on {place}, or let the service's user write there.",
        )
