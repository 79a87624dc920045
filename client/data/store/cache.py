"""The folder of prepared cohorts: entries are found by key, and the ones unused longest make room for new ones.

An entry is written beside its place and renamed, so a crash or a second process never leaves half of one; what a crash
leaves behind is swept away when the next entry is written. An entry that is removed while somebody trains on it stays
readable for them: the system keeps what is mapped.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from client.data.cohort import Cohort
from client.data.index.lock import locked
from client.data.store import entry
from common.files import make_private

DEFAULT_BYTES = 64 << 30
RESERVE = 0.05
MOST_RESERVED = 1 << 30
"""Left free for others: this part of the disk, but no more than so many bytes."""
_NEW = ".new-"
_OLD = ".old-"
_LOCK = "cohorts"


@dataclass(frozen=True)
class Cache:
    """A bounded cache.

    Attributes:
        folder: where the entries lie; made when it is first needed, for its owner only.
        largest: bytes of all entries together.
    """

    folder: Path
    largest: int = DEFAULT_BYTES

    def load(self, key: str) -> Cohort | None:
        """Return an entry and note that it was used; nothing if there is none or it is damaged."""
        cohort = entry.read(self.folder / key)
        if cohort is not None:
            with suppress(OSError):
                os.utime(self.folder / key)
        return cohort

    def save(self, key: str, cohort: Cohort) -> bool:
        """Write an entry; say whether that was possible (a full or read-only disk is no error)."""
        try:
            make_private(self.folder)
            with self._new() as fresh:
                if not self._make_room(entry.size(cohort), replaced=key):
                    return False
                entry.write(fresh, cohort)
                self._replace(fresh, key)
        except OSError:
            return False
        return True

    @contextmanager
    def _new(self) -> Iterator[Path]:
        """Make a folder to write into, with a lock that tells a living writer from a dead one."""
        with locked(self.folder / _LOCK):
            self._sweep()
            fresh = Path(tempfile.mkdtemp(prefix=_NEW, dir=self.folder))
            writing = locked(fresh)
            writing.__enter__()
        try:
            yield fresh
        finally:
            writing.__exit__(None, None, None)
            shutil.rmtree(fresh, ignore_errors=True)
            _lock_of(fresh).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what writers left who died, and what is being removed."""
        for left in self.folder.glob(f"{_OLD}*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in self.folder.glob(f"{_NEW}*"):
            if left.is_dir() and not _is_held(left):
                shutil.rmtree(left, ignore_errors=True)
                _lock_of(left).unlink(missing_ok=True)

    def _make_room(self, needed: int, replaced: str) -> bool:
        """Remove the entry that is replaced, then those unused longest, until `needed` bytes fit."""
        if needed > self.largest:
            return False
        with locked(self.folder / _LOCK):
            entries = sorted(self._entries(), key=lambda path: path.stat().st_mtime_ns)
            used = sum(_bytes(path) for path in entries)
            for path in sorted(entries, key=lambda path: path.name != replaced):
                if used + needed <= self.largest and self._free() >= needed:
                    break
                used -= _bytes(path)
                self._remove(path)
            return self._free() >= needed

    def _entries(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_dir() and path.name[0] != "."]

    def _free(self) -> int:
        disk = shutil.disk_usage(self.folder)
        return disk.free - min(MOST_RESERVED, int(disk.total * RESERVE))

    def _replace(self, fresh: Path, key: str) -> None:
        with locked(self.folder / _LOCK):
            if (self.folder / key).exists():
                self._remove(self.folder / key)
            # The writer's lock stays with the old name; the entry itself needs none.
            os.rename(fresh, self.folder / key)

    def _remove(self, path: Path) -> None:
        """Take an entry away in one step; then remove it."""
        away = Path(tempfile.mkdtemp(prefix=_OLD, dir=self.folder)) / path.name
        os.rename(path, away)
        shutil.rmtree(away.parent, ignore_errors=True)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _is_held(path: Path) -> bool:
    """Tell whether a living process holds the lock of a folder."""
    try:
        with _lock_of(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _bytes(path: Path) -> int:
    """Return what the files of an entry take."""
    with suppress(OSError):
        return sum(file.stat().st_size for file in path.iterdir())
    return 0
