"""Finds the usable slices of a folder of DICOM files, all at once; for folders of a moderate size."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from client.data.dicom.slices import Slice
from client.data.index.archive import archive
from client.data.quarantine import QuarantineLog


def index(
    path: Path, modality: str, log: QuarantineLog, besides: Collection[Path] = ()
) -> list[Slice]:
    """Read the header of every file below a folder (or of one file, or in a .zip).

    Args:
        path: where the files are.
        modality: the study's; others are left out.
        log: what is left out, and why.
        besides: files that lie there for other reasons (the labels, site.toml).

    Raises:
        DataError: there is no such folder, or nothing in it.
    """
    with archive(path, modality) as found:
        found.refuse(log, besides)
        return list(found.everything())
