"""Lists a data set place by place: a folder at a time, an archive at a time, without reading any file."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.data.files import File, is_ignored, unpack

FLAT = b"\0"
_AT_ONCE = 4096
_TIMES = struct.Struct("=4q").pack
_NO_TIMES = _TIMES(0, 0, -1, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a place, before it is read.

    Attributes:
        file: where it is.
        key: its place in the order of the data set.
        member: bytes of the key that are the archive's; 0 for a plain file.
        changed_ns: last change of the file's record in the file system (of the archive, for a member).
        reason: why it cannot be used, if that is seen already.
    """

    file: File
    key: bytes
    member: int
    changed_ns: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or an archive.

    Attributes:
        key: its place in the order of the data set.
        stamp: changes when a file of it comes, goes or changes.
        newest_ns: the last of those changes.
        entries: makes the list of its files.
    """

    key: bytes
    stamp: bytes
    newest_ns: int
    entries: Callable[[], Iterator[Entry]]


def key_of(name: str) -> bytes:
    """Return the key of a relative name; keys sort as folders are walked."""
    return name.encode("utf-8", "surrogateescape").replace(b"/", FLAT)


def file_of(root: str, key: bytes, member: int, size: int, modified_ns: int) -> File:
    """Return the file that an index's row is about.

    Args:
        root: the folder, with a "/" at its end; or the single file.
        key, member, size, modified_ns: of the row.
    """
    name = key.replace(FLAT, b"/").decode("utf-8", "surrogateescape")
    inner = key[member + 1 :].decode("utf-8", "surrogateescape") if member else None
    path = root
    if root.endswith("/"):
        outer = key[:member] if member else key
        path += outer.replace(FLAT, b"/").decode("utf-8", "surrogateescape")
    return File(name, path, size, modified_ns, inner)


def places(root: Path) -> Iterator[Place]:
    """Yield every folder and archive below a folder (or the file itself), each folder once."""
    status = root.stat()
    if stat.S_ISDIR(status.st_mode):
        yield from _folder(str(root), "", {(status.st_dev, status.st_ino)})
    else:
        yield from _place(str(root.parent), "", [root.name])


def _folder(folder: str, prefix: str, seen: set[tuple[int, int]]) -> Iterator[Place]:
    """Yield a folder, its archives, and what lies below it; of all its files only the names are held at once."""
    names: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                name = entry.name
                if name.isdigit() or not is_ignored(name):
                    try:
                        (folders if entry.is_dir() else names).append(name)
                    except OSError:  # a link that cannot be followed
                        names.append(name)
    except OSError:
        yield _refused(prefix or ".", "folder cannot be read")
        return
    names.sort()
    if not _is_text(names):
        names.sort(key=key_of)
    yield from _place(folder, prefix, names)
    for name in sorted(folders):
        status = _status(f"{folder}/{name}")
        if status is not None and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield from _folder(f"{folder}/{name}", f"{prefix}{name}/", seen)


def _is_text(names: list[str]) -> bool:
    """Tell whether names sort as their keys do: all but those that are no UTF-8."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(folder: str, prefix: str, names: list[str]) -> Iterator[Place]:
    """Yield a folder as a place, and then its archives."""
    digest, newest, archives = hashlib.sha256(), 0, []
    # Names are looked up from here: shorter than from the root each time.
    at = os.open(folder, os.O_PATH)
    try:
        for start in range(0, len(names), _AT_ONCE):
            together = names[start : start + _AT_ONCE]
            packed = []
            for name in together:
                try:
                    status = os.stat(name, dir_fd=at)
                except OSError:
                    packed.append(_NO_TIMES)
                    continue
                if name[-1] in "pP" and _is_archive(name, status):
                    archives.append((name, status))  # its times are those of a place of its own
                packed.append(
                    _TIMES(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_mode)
                )
            stamps = b"".join(packed)
            digest.update("\n".join((*together, "")).encode("utf-8", "surrogateescape"))
            digest.update(stamps)
            newest = max(newest, _newest(stamps))
    finally:
        os.close(at)

    def entries() -> Iterator[Entry]:
        for name in names:
            status = _status(f"{folder}/{name}")
            if status is None or not _is_archive(name, status):
                yield _entry(f"{prefix}{name}", f"{folder}/{name}", status)

    yield Place(key_of(prefix), digest.digest(), newest, entries)
    for name, status in archives:
        yield _archive(f"{prefix}{name}", f"{folder}/{name}", status)


def _newest(stamps: bytes) -> int:
    """Return the last of the times in packed stamps; 0 if there are none."""
    times = np.frombuffer(stamps, np.int64).reshape(-1, 4)[:, :2]
    return int(times.max(initial=0))


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _is_archive(name: str, status: os.stat_result) -> bool:
    return name.casefold().endswith(".zip") and stat.S_ISREG(status.st_mode)


def _entry(name: str, path: str, status: os.stat_result | None) -> Entry:
    if status is None:
        return Entry(File(name, path, 0, 0), key_of(name), 0, 0, "broken link")
    file = File(name, path, status.st_size, status.st_mtime_ns)
    reason = None if stat.S_ISREG(status.st_mode) else "not a regular file"
    return Entry(file, key_of(name), 0, status.st_ctime_ns, reason)


def _refused(name: str, reason: str) -> Place:
    entry = Entry(File(name, "", 0, 0), key_of(name), 0, 0, reason)
    return Place(key_of(name), reason.encode(), 0, lambda: iter([entry]))


def _archive(name: str, path: str, status: os.stat_result) -> Place:
    file = File(name, path, status.st_size, status.st_mtime_ns)
    stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()

    def entries() -> Iterator[Entry]:
        refused: list[tuple[str, str]] = []
        found = [
            _member(member, name, status.st_ctime_ns)
            for member in unpack(iter([file]), lambda each, reason: refused.append((each, reason)))
        ]
        for each, reason in refused:
            found.append(_member(File(each, path, 0, 0), name, status.st_ctime_ns, reason))
        return iter(sorted(found, key=lambda entry: entry.key))

    return Place(key_of(name), stamp, max(status.st_mtime_ns, status.st_ctime_ns), entries)


def _member(file: File, archive: str, changed_ns: int, reason: str | None = None) -> Entry:
    outer = key_of(archive)
    if file.name == archive:  # the archive as a whole
        return Entry(file, outer, 0, changed_ns, reason)
    inner = file.name[len(archive) + 1 :].encode("utf-8", "surrogateescape")
    return Entry(file, outer + FLAT + inner, len(outer), changed_ns, reason)
