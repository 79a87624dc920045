"""One process at a time: a lock that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.files import make_private


@contextmanager
def locked(path: Path | None) -> Iterator[bool]:
    """Hold the lock that belongs to a file; say whether there is one: not where nothing can be written.

    Args:
        path: of the file; the lock lies beside it. None: nothing is locked.
    """
    handle = _opened(path) if path is not None else None
    try:
        if handle is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _opened(path: Path) -> int | None:
    lock = path.with_name(f"{path.name}.lock")
    try:
        make_private(lock.parent)
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
