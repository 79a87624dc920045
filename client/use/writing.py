"""Writes predictions into a folder that only its owner can read: they may be about patients whom somebody knows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from client.data.quarantine import Quarantine
from common.errors import DataError
from common.files import explain_os_error, write_atomically


def make_folder(folder: Path) -> None:
    """Make the folder of the results.

    Raises:
        DataError: it holds something already.
        MachineError: it cannot be made.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(
            "The folder holds files already.",
            where=str(folder),
            fix="Give another one with --out, or remove the old results.",
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise explain_os_error(error, folder) from None


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of one length as CSV, atomically.

    Raises:
        MachineError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_atomically(path, text.getvalue())


def write_left_out(path: Path, quarantine: Quarantine) -> None:
    """Write the list of what could not be used, with its names; nothing where all could."""
    if quarantine.total:
        quarantine.write(path)


def write_masks(path: Path, masks: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Write masks [N, rows, columns] in the order of the images."""
    content = io.BytesIO()
    np.savez_compressed(content, masks=masks)
    write_atomically(path, content.getvalue())
