"""Walks a data set's files: nested folders, links without loops, .zip archives as folders."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# Operating systems and viewers leave these beside the data.
_IGNORED = {".ds_store", "thumbs.db", "desktop.ini", "__macosx", ".consilium"}
MAX_MEMBER_BYTES = 1 << 30
CLAIM = ".consilium-claim"
"""How the claims end that a ledger's agent writes beside the data."""
_MAX_RATIO = 1100  # deflate cannot do better than about 1032


@dataclass(frozen=True)
class File:
    """One regular file.

    Attributes:
        name: relative to the data set's path, parts joined by "/"; may identify a patient.
        path: where it lies (the archive, for a member of one).
        size: bytes.
        modified_ns: last change, nanoseconds since 1970 (of the archive, for a member).
        member: name inside the archive; none for a plain file.
    """

    name: str = field(repr=False)
    path: str = field(repr=False)
    size: int
    modified_ns: int
    member: str | None = field(default=None, repr=False)


def _skip(problem: str, reason: str) -> None:
    """Ignore what cannot be walked."""


Refuse = Callable[[str, str], None]


def walk(root: Path, refuse: Refuse = _skip) -> Iterator[File]:
    """Yield the regular files below a folder (or the file itself), sorted, each folder once.

    Args:
        root: a folder or a file.
        refuse: called with (name, reason) for what is no regular file, or cannot be read.
    """
    try:
        status = root.stat()
    except OSError:
        return
    if not stat.S_ISDIR(status.st_mode):
        yield File(root.name, str(root), status.st_size, status.st_mtime_ns)
        return
    yield from _folder(str(root), "", {(status.st_dev, status.st_ino)}, refuse)


def _folder(folder: str, prefix: str, seen: set[tuple[int, int]], refuse: Refuse) -> Iterator[File]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        refuse(prefix or ".", "folder cannot be read")
        return
    for entry in entries:
        if is_ignored(entry.name):
            continue
        name = f"{prefix}{entry.name}"
        try:
            status = entry.stat()
        except OSError:
            refuse(name, "broken link")
            continue
        if stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield from _folder(entry.path, f"{name}/", seen, refuse)
        elif stat.S_ISREG(status.st_mode):
            yield File(name, entry.path, status.st_size, status.st_mtime_ns)
        else:
            refuse(name, "not a regular file")


def is_ignored(name: str) -> bool:
    """Tell whether a name is a desktop's or an editor's leftover."""
    small = name.casefold()
    return small in _IGNORED or small.endswith(CLAIM) or name.startswith("._")


def unpack(files: Iterator[File], refuse: Refuse = _skip) -> Iterator[File]:
    """Replace every .zip archive by its members (archives inside archives are left out)."""
    for file in files:
        if not file.path.casefold().endswith(".zip"):
            yield file
            continue
        try:
            with zipfile.ZipFile(file.path) as archive:
                members = archive.infolist()
        except Exception:  # a damaged archive raises many kinds
            refuse(file.name, "archive cannot be read")
            continue
        yield from _members(file, members, refuse)


def _members(file: File, members: list[zipfile.ZipInfo], refuse: Refuse) -> Iterator[File]:
    last = ""
    for member in sorted(members, key=lambda info: info.filename):
        parts = member.filename.split("/")
        if member.is_dir() or any(is_ignored(part) for part in parts):
            continue
        name = f"{file.name}/{member.filename}"
        bomb = member.file_size > max(1, member.compress_size) * _MAX_RATIO
        again, last = member.filename == last, member.filename
        if again:  # only the newest of one name can be opened
            refuse(name, "twice in the archive")
        elif member.flag_bits & 1:
            refuse(name, "encrypted in the archive")
        elif bomb or member.file_size > MAX_MEMBER_BYTES:
            refuse(name, "too large in the archive")
        else:
            yield File(name, file.path, member.file_size, file.modified_ns, member.filename)


class Reader:
    """Opens files and members of archives; keeps the last archive open.

    Use as a context manager, from one thread.
    """

    def __init__(self) -> None:
        self._opened: tuple[str, int] = ("", 0)
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def open(self, file: File) -> IO[bytes]:
        """Open for reading.

        Raises:
            OSError: the file cannot be read (a damaged archive included).
        """
        if file.member is None:
            return open(file.path, "rb")
        try:
            wanted = (file.path, file.modified_ns)
            if self._archive is None or self._opened != wanted:
                self.__exit__()
                self._archive, self._opened = zipfile.ZipFile(file.path), wanted
            return self._archive.open(file.member)
        except Exception as error:  # a damaged archive raises many kinds
            raise OSError("the archive is damaged") from error
