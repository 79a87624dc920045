"""The site's private archive: one file an image, named by pseudonyms, there only when it is whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydicom.filereader import dcmread

from client.data.dicom.quiet import quiet
from client.guard.pseudonyms import Pseudonyms
from common.files import explain_os_error

_PARTIAL = "._incoming-"  # such names are never read as data
_TAGS = ["SOPInstanceUID", "SeriesInstanceUID"]


class Spoilt(Exception):
    """What arrived is not the image that was asked for; the message names nobody."""


class Archive:
    """A folder (mode 700) of fetched images; an interrupted fetch leaves only whole ones.

    Args:
        root: made when it is missing.
        names: turn UIDs into file names, which then say nothing.

    Raises:
        MachineError: the folder cannot be made.
    """

    def __init__(self, root: Path, names: Pseudonyms) -> None:
        self.root = root
        self._names = names
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in root.glob(f"{_PARTIAL}*"):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise explain_os_error(error, root) from None

    def place(self, series: str, instance: str) -> Path:
        """Return where an image lies, or will."""
        folder = self._names.name("series", series)
        return self.root / folder / f"{self._names.name('instance', instance)}.dcm"

    def has(self, series: str, instance: str) -> bool:
        """Tell whether an image is there."""
        try:
            return self.place(series, instance).stat().st_size > 0
        except OSError:
            return False

    @contextmanager
    def incoming(self, series: str, instance: str) -> Iterator[IO[bytes]]:
        """Give a file to write an image to; it enters the archive if the block ends well and it is that image.

        Raises:
            Spoilt: it is another one, or damaged.
            MachineError: the disk is full or may not be written.
        """
        name = ""
        try:
            handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=self.root)
            with os.fdopen(handle, "wb+") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _check(Path(name), series, instance)
            target = self.place(series, instance)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            os.replace(name, target)
        except OSError as error:  # the disk's: a server's own are told apart before they come here
            raise explain_os_error(error, self.root) from None
        finally:
            if name:
                Path(name).unlink(missing_ok=True)


def _check(path: Path, series: str, instance: str) -> None:
    try:
        with quiet():
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            found = (str(header.get("SeriesInstanceUID")), str(header.get("SOPInstanceUID")))
    except Exception:  # pydicom raises many kinds on damaged files
        raise Spoilt("damaged on arrival") from None
    if found != (series, instance):
        raise Spoilt("another image than the one asked for")
