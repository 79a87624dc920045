"""Writes files so that a crash leaves the old content or the new, never half of it."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from common.errors import MachineError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_atomically(
    path: Path, content: bytes | str, *, durable: bool = False, mode: int = 0o600
) -> None:
    """Replace a file's content in one step.

    Args:
        path: the file.
        content: bytes, or text in UTF-8.
        durable: wait until the disk has it (fsync).
        mode: permissions of the new file.

    Raises:
        MachineError: the disk is full or the folder may not be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise explain_os_error(error, path) from error


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may look into, and the missing ones above it alike.

    `Path.mkdir(parents=True)` leaves the parents open to others.

    Raises:
        OSError: that is not possible.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def explain_os_error(error: OSError, path: Path) -> MachineError:
    """Turn an operating system's error into one that says what to do."""
    if error.errno in _FULL:
        return MachineError(
            "The disk is full.",
            where=str(path),
            fix="Free some space and run the command again with --resume.",
        )
    return MachineError(
        f"The file or folder cannot be written: {error.strerror or error}.",
        where=str(path),
        fix="Check that the folder exists and that this user may write there.",
    )
